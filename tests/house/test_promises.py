"""Every sentence that promises a time is held by a test: a table pairs them, and fails where one of the two is missing.

Who writes "within two seconds" in a page adds a row, with a test that waits for it on a real server.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.binaries import ROOT

PROMISE = re.compile(r"(?i)\bwithin (?:a|one|two|five|ten|\d+) (?:second|minute)s?\b")
FOLDERS = ("docs", "deploy", "policies", "authproxy")
KINDS = (".md", ".py", ".yaml", ".yml", ".service", "")


class Promise(NamedTuple):
    """A sentence, with its line breaks and comment signs as single spaces, and the tests that hold it."""

    file: str
    sentence: str
    tests: tuple[str, ...]


IN_TIME = "tests/faults/test_in_force_in_time.py::"
HTPASSWD = IN_TIME + "test_a_password_that_was_changed_in_htpasswd"
DISABLED = IN_TIME + "test_a_user_who_was_disabled_in_users_yaml"
REMOVED = IN_TIME + "test_a_user_who_was_removed"
GROUPS = IN_TIME + "test_groups_that_an_editor_wrote_into_users_yaml_and_a_policy_for_them"
POLICY = IN_TIME + "test_a_policy_that_was_added_and_removed"
KEY = IN_TIME + "test_a_key_that_was_added"
REVOKED = IN_TIME + "test_a_revocation"
FILES_OF_DISTRIBUTION = IN_TIME + "test_the_htpasswd_of_distributions_configuration_and_the_upstreams_password"
SESSIONS = "tests/faults/test_upload_of_a_removed_user.py::test_an_expired_token_pushes_until_its_user_is_gone"
FOREIGN_TAG = "tests/faults/test_foreign_writes.py::test_a_tag_that_another_program_set"
FOREIGN_REPOSITORY = "tests/faults/test_foreign_writes.py::test_a_repository_that_another_program_made_and_removed"
_RENEWED = "tests/faults/test_certificate_renewed.py::"
CERTIFICATE = _RENEWED + "test_a_renewed_certificate_serves_from_the_next_handshake_on_in_every_worker"
MOUNTED = _RENEWED + "test_the_symbolic_link_of_a_mounted_secret_is_swapped"
CERTBOT = _RENEWED + "test_the_links_that_certbot_keeps_are_followed_one_after_the_other"
GUESSES = (
    "tests/unit/identity/test_passwords.py::test_nobody_waits_longer_than_the_bound_and_what_has_not_begun_never_begins"
)
ANONYMOUS = "tests/unit/token/test_anonymous_cache.py::test_an_answer_serves_the_same_question_for_one_second"

CHANGE = "A change is in force within two seconds"

PROMISES = [
    Promise(
        "docs/explanation/security.md",
        "policies, keys and revocations are in force within two seconds on every worker",
        (HTPASSWD, DISABLED, GROUPS, POLICY, KEY, REVOKED),
    ),
    Promise(
        "docs/decisions/0006-look-at-files-once-a-second.md", "in force within two seconds", (HTPASSWD, POLICY, KEY)
    ),
    Promise(
        "docs/decisions/0008-refresh-tokens-and-stamps.md", "in force within two seconds", (HTPASSWD, DISABLED, REMOVED)
    ),
    Promise("docs/decisions/0011-sign-the-address-of-an-upload.md", "loses it within two seconds", (SESSIONS,)),
    Promise(
        "docs/decisions/0013-remember-folder-listings-by-their-stamp.md",
        "within two seconds where somebody else wrote",
        (FOREIGN_TAG, FOREIGN_REPOSITORY),
    ),
    Promise(
        "docs/decisions/0016-remember-answers-while-marks-stand.md",
        "what another program did has to show within two seconds",
        (FOREIGN_TAG,),
    ),
    Promise(
        "docs/decisions/0016-remember-answers-while-marks-stand.md",
        "between them a change shows within two seconds",
        (FOREIGN_TAG,),
    ),
    Promise(
        "docs/decisions/0031-keep-an-account-for-the-service.md",
        "a renewed certificate is in force within two seconds",
        (CERTIFICATE, CERTBOT),
    ),
    Promise(
        "docs/how-to/from-nginx.md", "a renewed certificate is in force within two seconds", (CERTIFICATE, CERTBOT)
    ),
    Promise(
        "docs/how-to/manage-users.md",
        "A running server sees a change within two seconds, on every worker",
        (HTPASSWD, DISABLED, GROUPS, REMOVED),
    ),
    Promise("docs/how-to/manage-users.md", "are refused, on every node within two seconds", (REVOKED,)),
    Promise("docs/how-to/rotate-keys.md", "running servers see it within two seconds", (KEY,)),
    Promise("docs/how-to/run-on-kubernetes.md", "a renewed certificate is in force within two minutes", (MOUNTED,)),
    Promise("docs/how-to/run-on-kubernetes.md", "user add …` is in force within two seconds", (REMOVED,)),
    Promise(
        "docs/how-to/run-with-systemd.md",
        "**A renewed certificate** is in force within two seconds",
        (CERTIFICATE, CERTBOT),
    ),
    Promise(
        "docs/how-to/use-your-certificate.md",
        "serves from the next handshake on within two seconds, in every worker",
        (CERTIFICATE, MOUNTED, CERTBOT),
    ),
    Promise("docs/how-to/write-a-policy.md", "Saved, it is in force within two seconds", (POLICY,)),
    Promise(
        "docs/reference/configuration.md",
        f"The htpasswd file; bcrypt entries only. {CHANGE}",
        (HTPASSWD, FILES_OF_DISTRIBUTION),
    ),
    Promise("docs/reference/configuration.md", f"The users file (YAML). {CHANGE}", (DISABLED, GROUPS)),
    Promise("docs/reference/configuration.md", f"a folder in which every `*.yaml` is one. {CHANGE}", (POLICY,)),
    Promise("docs/reference/configuration.md", f"the password of `username`. {CHANGE}", (FILES_OF_DISTRIBUTION,)),
    Promise("docs/reference/token-endpoint.md", "within a second may get the same token", (ANONYMOUS,)),
    Promise("docs/reference/token-endpoint.md", "could not be checked within five seconds", (GUESSES,)),
    Promise("docs/tutorial/first-push.md", "within two seconds it is in force", (POLICY,)),
    Promise("deploy/compose.config.yaml", "a renewed certificate is seen within two seconds", (CERTIFICATE,)),
    Promise("authproxy/cli/key.py", "a running server sees a change within two seconds", (KEY,)),
    Promise("authproxy/cli/token.py", "a running server sees the change within two seconds", (REVOKED,)),
    Promise(
        "authproxy/cli/user.py",
        "a running server sees the change within two seconds",
        (HTPASSWD, DISABLED, GROUPS, REMOVED),
    ),
    Promise(
        "authproxy/config/sections/auth.py",
        f"The htpasswd file; bcrypt entries only. {CHANGE}",
        (FILES_OF_DISTRIBUTION,),
    ),
    Promise(
        "authproxy/config/sections/identities.py", f"The htpasswd file; bcrypt entries only. {CHANGE}", (HTPASSWD,)
    ),
    Promise("authproxy/config/sections/identities.py", f"The users file (YAML). {CHANGE}", (DISABLED, GROUPS)),
    Promise("authproxy/config/sections/policies.py", f"a folder in which every `*.yaml` is one. {CHANGE}", (POLICY,)),
    Promise("authproxy/config/sections/upstream.py", f"the password of `username`. {CHANGE}", (FILES_OF_DISTRIBUTION,)),
    Promise(
        "authproxy/token/anonymous_cache.py", "everything is still in force within two seconds", (POLICY, ANONYMOUS)
    ),
    Promise("authproxy/policy/default.yaml", CHANGE, (POLICY,)),
    Promise("policies/README.md", "a change is in force within two seconds", (POLICY,)),
    Promise("policies/default.yaml", CHANGE, (POLICY,)),
    Promise("deploy/chart/files/default.yaml", CHANGE, (POLICY,)),
]


def files() -> list[Path]:
    """What operators and readers see: pages, deployments, and our own code, where pages and help are made from."""
    below = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))
    found = [ROOT / "README.md", *below]
    return sorted(file for file in found if file.is_file() and file.suffix in KINDS and "__pycache__" not in file.parts)


def text_of(file: Path) -> str:
    """A file as running text."""
    plain = re.sub(r"(?m)^[ \t]*#+ ?", "", file.read_text(encoding="utf-8", errors="replace"))
    return re.sub(r"\s+", " ", plain)


def unpaired(file: Path) -> Iterator[str]:
    """The promises of a file that no row speaks of, each with what stands before it."""
    text = text_of(file)
    rows = [row.sentence for row in PROMISES if row.file == str(file.relative_to(ROOT))]
    held = [range(found.start(), found.end()) for row in rows for found in re.finditer(re.escape(row), text)]
    for promise in PROMISE.finditer(text):
        if not any(promise.start() in span and promise.end() - 1 in span for span in held):
            yield f"{file.relative_to(ROOT)}: …{text[max(0, promise.start() - 60) : promise.end()]}"


def test_every_sentence_that_promises_a_time_has_a_test() -> None:
    without = [promise for file in files() for promise in unpaired(file)]
    assert without == [], "add a row to PROMISES, and a test that waits for it; or promise nothing"


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: f"{row.file}: {row.sentence}")
def test_a_row_has_its_sentence_and_its_tests(row: Promise) -> None:
    assert row.sentence in text_of(ROOT / row.file), "the sentence has gone: remove the row, or name its new words"
    assert PROMISE.search(row.sentence), "the sentence promises no time"
    assert row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
