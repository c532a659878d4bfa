"""Tampering shows: a changed, missing, swapped or added line, and with a saved head a cut tail."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.audit.chain import GENESIS, Link, parse_line, seal
from authproxy.audit.verify import ChainReport, verify


def chain(count: int, writer: str = "w") -> list[bytes]:
    link, lines = Link(writer), []
    for number in range(count):
        raw, link = seal({"user": f"user-{number}"}, link)
        lines.append(raw)
    return lines


LINES = chain(6)
HEAD = parse_line(LINES[-1]).link.hash


def verdict(lines: list[bytes], *heads: str) -> list[str]:
    return list(map(str, verify([("log", lines)], heads).faults))


def changed(raw: bytes) -> bytes:
    return raw.replace(b"user-", b"evil-")


def forged(raw: bytes) -> bytes:
    """Changed, with a hash that is right again."""
    fields = json.loads(changed(raw))
    link = Link(fields["writer"], fields["sequence"] - 1, fields["previous"])
    return seal({"user": fields["user"]}, link)[0]


Tamper = Callable[[list[bytes]], list[bytes]]
TAMPERED: dict[str, tuple[Tamper, str]] = {
    "changed": (
        lambda x: [*x[:2], changed(x[2]), *x[3:]],
        "log:3: this line was changed: its hash does not fit its content",
    ),
    "the last one changed": (lambda x: [*x[:5], changed(x[5])], "log:6: this line was changed"),
    "changed with its hash": (lambda x: [*x[:2], forged(x[2]), *x[3:]], "log:4: this line does not follow log:3: one"),
    "one missing": (lambda x: [*x[:2], *x[3:]], "log:3: a line is missing before this one (writer w)"),
    "three missing": (lambda x: [x[0], *x[4:]], "log:2: 3 lines are missing before this one (writer w)"),
    "two swapped": (lambda x: [*x[:2], x[3], x[2], *x[4:]], "log:3: a line is missing before this one (writer w)"),
    "one twice": (
        lambda x: [*x[:3], x[2], *x[3:]],
        "log:4: this line belongs before log:3: swapped, repeated or inserted",
    ),
    "torn": (lambda x: [*x[:5], x[5][:30]], "log:6: not JSON"),
    "another text": (lambda x: [*x, b'{"a": 1}\n'], "log:7: not an audit line"),
}


@pytest.mark.parametrize(("tamper", "fault"), TAMPERED.values(), ids=TAMPERED)
def test_a_line_that_somebody_touched_is_found(tamper: Tamper, fault: str) -> None:
    assert any(found.startswith(fault) for found in verdict(tamper(LINES))), verdict(tamper(LINES))


def test_a_whole_log_has_no_fault_and_its_head_is_known() -> None:
    report = verify([("log", LINES)], [HEAD])
    assert (report.faults, report.lines, report.passed_over) == ((), 6, 0)
    (found,) = report.chains
    assert (found.is_from_the_start, found.last.line.link.hash) == (True, HEAD)


def test_a_cut_tail_shows_only_with_its_head() -> None:
    assert verdict(LINES[:4]) == []
    (fault,) = verdict(LINES[:4], HEAD)
    assert fault == f"no line has the hash {HEAD}: the end of the log is missing, or its file is not among these"


def test_a_head_of_earlier_is_still_among_the_lines() -> None:
    assert verdict(LINES, parse_line(LINES[2]).link.hash) == []


def test_a_changed_line_is_no_head() -> None:
    assert len(verdict([*LINES[:5], changed(LINES[5])], HEAD)) == 2


def test_files_may_come_in_any_order() -> None:
    files = [("log", LINES[4:]), ("log.2", LINES[:2]), ("log.1", LINES[2:4])]
    assert verify(files, [HEAD]).faults == ()


def test_a_file_that_is_missing_between_two_shows() -> None:
    (fault,) = verify([("log", LINES[4:]), ("log.2", LINES[:2])]).faults
    assert str(fault) == "log:1: 2 lines are missing before this one (writer w)"


def test_lines_that_rotation_removed_are_no_fault_but_are_known_to_be_missing() -> None:
    report = verify([("log", LINES[3:])])
    assert report.faults == ()
    assert not report.chains[0].is_from_the_start


def test_a_first_line_that_names_one_before_it_is_found() -> None:
    raw, _ = seal({}, Link("w", 0, "f" * 64))
    assert verdict([raw]) == ["log:1: the first line of w names a previous one"]
    assert GENESIS not in raw.decode()


def test_chains_of_several_writers_may_lie_in_one_file() -> None:
    others = chain(3, "v")
    mixed = [LINES[0], others[0], LINES[1], LINES[2], others[1], others[2], *LINES[3:]]
    report = verify([("log", mixed)])
    assert (report.faults, len(report.chains)) == ((), 2)
    assert verdict([*mixed[:4], *mixed[5:]]) == ["log:5: a line is missing before this one (writer v)"]


def test_what_else_went_to_standard_output_is_passed_over() -> None:
    report: ChainReport = verify([("log", [b"listening on https://localhost:5000\n", *LINES])])
    assert (report.faults, report.passed_over) == ((), 1)


@given(st.permutations(range(6)), st.sets(st.integers(0, 4)))
def test_no_order_but_the_right_one_and_no_gap_is_without_a_fault(order: list[int], left_out: set[int]) -> None:
    """The last line stays: without it a tail would be cut, which only a head shows."""
    kept = [number for number in order if number not in left_out]
    is_whole = kept == sorted(kept) and kept == list(range(kept[0], 6))
    assert (verdict([LINES[number] for number in kept], HEAD) == []) == is_whole
