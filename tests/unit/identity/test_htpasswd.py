import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from authproxy.errors import StartError
from authproxy.identity.bcrypt_hash import check_password
from authproxy.identity.htpasswd import Htpasswd, load_htpasswd, provision_htpasswd, read_htpasswd
from authproxy.log.once import LogOnce

HASH = "$2y$04$jarkjdyN4syBOFAUG5Wke.Vp4AvfLekncelXMKIMRHArULM5lpa/6"  # secret
OTHER = "$2y$04$ub7z.nMebX7iUMbACSMHOuNMkR.Yn.8q0ORF/aVfb6ouUEfNO4zVK"  # other


def names(content: str) -> list[str]:
    return list(Htpasswd.parse(content.encode()).entries)


@pytest.mark.parametrize(
    ("content", "users", "unusable"),
    [
        ("", [], []),
        (f"alice:{HASH}\n", ["alice"], []),
        (f"alice:{HASH}", ["alice"], []),
        (f"# team\n\n  alice:{HASH}  \r\nbob:{HASH}\r\n", ["alice", "bob"], []),
        (f"#alice:{HASH}\n", [], []),
        ("alice:$apr1$abcdefgh$1234567890123456789012\n", [], ["alice"]),
        ("alice:plain\n", [], ["alice"]),
        ("alice:\n", [], ["alice"]),
        (f":{HASH}\n", [], ["line 1"]),
        (f"bob:{HASH}\nnonsense\n", ["bob"], ["line 2"]),
        (f"alice:{HASH}\nalice:plain\n", ["alice"], []),
        (f"alice:plain\nalice:{HASH}\n", [], ["alice"]),
        (f"alice:{HASH}:Alice of sales\n", ["alice"], []),
        (f"alice:{HASH}:\r\nbob: {HASH} : a:b\n", ["alice", "bob"], []),
        ("alice:plain:a comment\n", [], ["alice"]),
        (f"alice::{HASH}\n", [], ["alice"]),
    ],
)
def test_who_can_log_in_and_who_cannot(content: str, users: list[str], unusable: list[str]) -> None:
    file = Htpasswd.parse(content.encode())
    assert list(file.entries) == users
    assert list(file.unusable) == unusable


def test_of_several_lines_with_one_name_the_first_counts() -> None:
    file = Htpasswd.parse(f"# team\na:{HASH}\nb:{HASH}\na:{OTHER}\na:plain\n".encode())
    assert file.entries["a"].hashed == HASH
    assert file.repeated == {"a": (2, 4, 5)}


def test_a_name_in_several_lines_is_warned_of_with_the_lines(tmp_path: Path) -> None:
    path, once = tmp_path / "htpasswd", LogOnce()
    path.write_text(f"a:{HASH}\nb:{HASH}\na:{OTHER}\n")
    with capture_logs() as logs:
        read_htpasswd(path, once=once)
        read_htpasswd(path, once=once)
    assert [(entry["event"], entry["users"]) for entry in logs] == [
        ("names that are in several lines: the first one counts", "a (lines 1 and 3)")
    ]
    assert "authproxy user password" in logs[0]["fix"]


def test_a_byte_order_mark_is_passed_over_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"alice:{HASH}\n", encoding="utf-8-sig")
    assert list(read_htpasswd(path)) == ["alice"]
    assert load_htpasswd(path).with_entry("alice", OTHER).encode() == f"alice:{OTHER}\n".encode()


def test_a_file_in_utf_16_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"alice:{HASH}\n", encoding="utf-16")
    with pytest.raises(StartError, match=r"htpasswd: is UTF-16.*Set-Content -Encoding utf8"):
        read_htpasswd(path)


@pytest.mark.parametrize("rest", ["", ":Ann of sales", ":a:b ", ": ", "\r", ":Ann\r"])
def test_what_stands_behind_a_hash_stays_when_it_changes(rest: str) -> None:
    file = Htpasswd.parse(f"ann:{HASH}{rest}\nbob:x\n".encode())
    assert file.with_entry("ann", OTHER).encode() == f"ann:{OTHER}{rest}\nbob:x\n".encode()


def test_one_warning_names_those_who_cannot_log_in_and_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"alice:plain\nbob:{HASH}\ncarol:{{SHA}}x\ndave:$apr1$x$y\nerin:rqXexS6ZhobKA\n")
    with capture_logs() as logs:
        assert list(read_htpasswd(path)) == ["bob"]
    assert [entry["users"] for entry in logs] == ["alice, carol, dave, erin"]
    assert "authproxy user password" in logs[0]["fix"]
    assert "{SHA}" not in str(logs)


def test_what_was_said_once_is_said_again_only_where_it_has_changed(tmp_path: Path) -> None:
    path, once = tmp_path / "htpasswd", LogOnce()
    with capture_logs() as logs:
        for lines in ("dave:plain\n", f"dave:plain\nbob:{HASH}\n", "dave:plain\nerin:plain\n"):
            path.write_text(lines)
            read_htpasswd(path, once=once)
    assert [entry["users"] for entry in logs] == ["dave", "dave, erin"]


def test_a_file_that_is_not_there_is_named_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"htpasswd does not exist; make it: authproxy user add"):
        read_htpasswd(tmp_path / "htpasswd")


def test_a_change_keeps_the_order_and_everything_else() -> None:
    before = f"# head\nbob:plain\nalice:{HASH}\n\n# tail\n"
    changed = Htpasswd.parse(before.encode()).with_entry("alice", OTHER).encode().decode()
    assert changed == before.replace(HASH, OTHER)


def test_a_new_user_stands_at_the_end_on_a_line_of_its_own() -> None:
    assert Htpasswd.parse(b"# no line break").with_entry("a", "h").encode() == b"# no line break\na:h\n"
    assert Htpasswd.parse(b"b:x\n").with_entry("a", "h").encode() == b"b:x\na:h\n"
    assert Htpasswd().with_entry("a", "h").encode() == b"a:h\n"


def test_a_changed_or_removed_user_has_no_second_line_left() -> None:
    file = Htpasswd.parse(f"a:{HASH}\nb:{HASH}\na:{OTHER}\n".encode())
    assert file.with_entry("a", "new").encode() == f"a:new\nb:{HASH}\n".encode()
    assert file.without("a").encode() == f"b:{HASH}\n".encode()


@given(st.binary(max_size=200))
def test_any_bytes_come_back_as_they_were(content: bytes) -> None:
    written = Htpasswd.parse(content).encode()
    assert written == (content if not content or content.endswith(b"\n") else content + b"\n")


@given(st.binary(max_size=200))
def test_a_user_that_is_added_can_be_read_whatever_else_stands_there(content: bytes) -> None:
    file = Htpasswd.parse(content).with_entry("zoe", HASH)
    assert Htpasswd.parse(file.encode()).entries["zoe"].hashed == HASH


def test_a_missing_file_is_made_with_one_user_whose_password_is_logged_once(tmp_path: Path) -> None:
    path = tmp_path / "auth" / "htpasswd"
    with capture_logs() as logs:
        assert provision_htpasswd(path)
        assert not provision_htpasswd(path)
    assert len(logs) == 1
    entry = read_htpasswd(path)["docker"]
    assert check_password(logs[0]["password"], entry.hashed or "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
