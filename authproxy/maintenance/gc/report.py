"""What a marking says to programs: one JSON document, written piece by piece. No I/O of its own."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from authproxy.maintenance.gc.marking import Marking


def to_json(marking: Marking, head: Mapping[str, Any]) -> Iterator[str]:
    """The document in pieces: a registry may have a million repositories. `head` are its first fields."""
    totals = asdict(marking.totals)
    fields = {
        **head,
        "would_free_bytes": totals.pop("candidate_bytes"),
        "would_free_blobs": totals.pop("candidate_blobs"),
        "without_repository": {"blobs": totals.pop("unlinked_blobs"), "bytes": totals.pop("unlinked_bytes")},
        "totals": totals,
        "notices": [asdict(notice) for notice in marking.notices],
        "more_notices": marking.more_notices,
    }
    text = json.dumps(fields, indent=2, ensure_ascii=False)
    yield text.removesuffix("\n}") + ',\n  "repositories": ['
    comma = ""
    for row in marking.repositories():
        yield f"{comma}\n    {json.dumps(asdict(row), ensure_ascii=False)}"
        comma = ","
    yield "\n  ]\n}"
