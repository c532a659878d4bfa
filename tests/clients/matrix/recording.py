"""Conversations as text, to lay what a client of ours sent beside what the real one sent.

    HEAD /v2/alice/app/manifests/v1 HTTP/1.1
    Host: {host}
    …
    => 401 Bearer realm="https://{host}/token",service="authproxy",scope="repository:alice/app:pull"

Those in `recorded/` are of containerd 1.6.20 behind a relay that took them down: `ctr images pull` and `push`, with
`--max-concurrent-downloads 1` and `--max-concurrent-uploaded-layers 1`, for the people and the images of world.py.

What differs from run to run has a name in braces. A form stands below its headers; the bytes of blobs and manifests
do not. What Basic has in base64 stands there as it was before. `Content-Length` is {length} where it is the body's.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass

from authproxy.digest import Digest
from tests.clients.matrix.driver import Setting
from tests.support.wire import Answer

TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
BASIC = re.compile(r"Basic ([\w+/=]+)$", re.MULTILINE)
SESSION = re.compile(r"uploads/[0-9a-f-]{36}\?_session=[\w.-]+")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it went out, and its answer."""

    request: bytes
    answer: Answer


def as_text(talk: Iterable[Exchange], setting: Setting) -> str:
    """The whole conversation."""
    names = {setting.server.host: "{host}"}
    for repository, image in (*setting.bases.items(), ("fresh", setting.fresh)):
        for part in ("layer", "config", "manifest"):
            names[Digest.of(getattr(image, part)).hex] = f"{{{part} of {repository}}}"
    text = BASIC.sub(lambda found: f"Basic base64({b64decode(found[1]).decode()})", "\n".join(map(_one, talk)))
    for value, name in names.items():
        text = text.replace(value, name)
    return SESSION.sub("uploads/{session}", TOKEN.sub("{token}", text))


def _one(exchange: Exchange) -> str:
    head, _, body = exchange.request.partition(b"\r\n\r\n")
    text = head.decode().replace("\r\n", "\n")
    if body:
        text = text.replace(f"Content-Length: {len(body)}\n", "Content-Length: {length}\n")
    if b"application/x-www-form-urlencoded" in head:
        text += f"\n\n{body.decode()}"
    answer = exchange.answer
    # What the client goes by, and nothing else of the answer: the protocol's own tables are elsewhere.
    shown = [answer.headers[name] for name in ("www-authenticate", "location") if name in answer.headers]
    return "\n".join([text, " ".join(["=>", str(answer.status), *shown]), ""])
