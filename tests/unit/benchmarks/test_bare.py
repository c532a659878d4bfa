from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bare import FILE_PATH, FILE_VARIABLE, PIECE_BYTES, app


async def test_the_bare_application_sends_its_file_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * (2 * PIECE_BYTES // 256) + b"and a bit"
    (tmp_path / "file").write_bytes(content)
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "file"))
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {}

    await app({"type": "http", "path": FILE_PATH}, receive, send)
    start, *pieces = sent
    assert start["headers"] == [(b"content-length", str(len(content)).encode())]
    assert [len(piece["body"]) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 9, 0]
    assert b"".join(piece["body"] for piece in pieces) == content
