"""What can be said of a call and the two answers to it: the words of tests/peers/differences.py."""

import json
import re
from collections.abc import Callable, Sequence

from tests.peers.call import LISTS, Answer, Pair

# Second spellings of a path: CNCF Distribution redirects from these.
UNCLEAN = re.compile(r"//|/\.\.?/|.+/$")


def answers(ours: int, theirs: int, *codes: str) -> Callable[[Pair], bool]:
    """Both statuses, and one of these for our error code; an answer to HEAD cannot show it."""
    return lambda pair: (
        pair.statuses == (ours, theirs) and (pair.call.method == "HEAD" or bool({*codes} & {*pair.ours.codes}))
    )


def gets_blob(pair: Pair) -> bool:
    """Whether it is a GET of a blob, for which alone a Range counts."""
    return pair.call.method == "GET" and reads(pair, "blobs")


def reads(pair: Pair, *kinds: str) -> bool:
    return pair.call.method in ("GET", "HEAD") and pair.call.is_below(*kinds)


def writes_manifest(pair: Pair) -> bool:
    return pair.call.method == "PUT" and pair.call.is_below("manifests")


def asks_for(pair: Pair, word: str) -> bool:
    return word in (pair.call.parameter("digest") or pair.call.path.rpartition("/")[2])


def is_list(pair: Pair, *suffixes: str) -> bool:
    return pair.call.session is None and pair.call.path.endswith(suffixes or LISTS)


def entries(answer: Answer, key: str) -> list[str]:
    found = json.loads(answer.body)[key] if answer.status == 200 and answer.body else None
    return list(found or [])


def by_path(name: str) -> tuple[str, ...]:
    """Distribution's order of the catalog: `a/b` before `a-b`, as a walk through folders finds them."""
    return tuple(name.split("/"))


def is_catalog_in_its_order(pair: Pair) -> bool:
    if not is_list(pair, "/_catalog") or pair.statuses != (200, 200):
        return False
    ours, theirs = entries(pair.ours, "repositories"), entries(pair.theirs, "repositories")
    return ours == sorted(ours) and theirs == sorted(theirs, key=by_path) and len(ours) == len(theirs)


def has_catalog(pair: Pair, ours: Callable[[set[str], set[str]], bool]) -> bool:
    """Whether this is a catalog whose names are related so, ours and theirs. A page of it may hold any of them."""
    if not is_list(pair, "/_catalog") or pair.statuses != (200, 200) or is_catalog_in_its_order(pair):
        return False
    names = {*entries(pair.ours, "repositories")}, {*entries(pair.theirs, "repositories")}
    return pair.call.parameter("n") is not None or ours(*names)


def is_text(answer: Answer) -> bool:
    """Distribution's router speaks plain text: "404 page not found", "Method not allowed"."""
    return answer.headers.get("content-type") == "text/plain; charset=utf-8"


def accept(pair: Pair) -> str:
    return pair.call.headers.get("Accept", "")


def accepts_all(pair: Pair) -> bool:
    """Whether the client takes every type there is, so that 2.8 has no reason to convert or to refuse."""
    return all(word in accept(pair) for word in ("oci.image.manifest", "oci.image.index", "manifest.v2", "list.v2"))


def is_page(query: Sequence[tuple[str, str]], ours: list[str], whole: list[str]) -> bool:
    """Whether ours is the right part of the whole list."""
    fields = dict(query)
    rest = sorted(tag for tag in whole if tag > fields.get("last", ""))
    return ours == (rest[: int(fields["n"])] if fields.get("n") else rest)
