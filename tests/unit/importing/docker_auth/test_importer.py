"""What becomes of lists that people write, and what is said about them."""

import time
from pathlib import Path

import pytest

from authproxy.config.document.tree import DocumentError
from authproxy.importing.docker_auth.importer import import_docker_auth
from authproxy.importing.imported import Imported
from authproxy.importing.report import Kind, render_text

USERS = 'users: {alice: {password: x, labels: {group: [qa]}}, "": {}}\n'


def imported(folder: Path, acl: str, *, users: str = USERS, service: str | None = None) -> Imported:
    path = folder / "auth.yml"
    path.write_text(f"{users}acl:\n{acl}", encoding="utf-8")
    return import_docker_auth(path, service=service)


RULES: list[tuple[str, str, list[tuple[dict[str, object], tuple[str, ...], tuple[str, ...]]]]] = [
    (
        "an entry for one user",
        '- {match: {account: "alice", name: "team/*"}, actions: [pull]}',
        [({"users": ["alice"]}, ("team/*",), ())],
    ),
    (
        "own space",
        '- {match: {account: "/.+/", name: "${account}/*"}, actions: [pull]}',
        [({"signed-in": True}, ("{user}/*",), ())],
    ),
    (
        "own space of mail addresses",
        '- {match: {account: "/^(.+)@example\\\\.org$/", name: "${account:1}/*"}, actions: [pull]}',
        [({"signed-in": True}, ("{user@example.org}/*",), (r'identity.name.matches(r"^(.+)@example\.org$")',))],
    ),
    (
        "own space of mail addresses below a folder",
        '- {match: {account: "/^([a-z.]+)@example.org$/", name: "home/${account:1}"}, actions: [pull]}',
        [({"signed-in": True}, ("home/{user@example.org}",), ('identity.name.matches("^([a-z.]+)@example.org$")',))],
    ),
    (
        "a label is a group",
        '- {match: {labels: {group: qa}, name: "/^qa\\\\/.*$/"}, actions: [pull]}',
        [({"groups": ["qa"]}, ("qa/*/**",), ())],
    ),
    (
        "what an earlier entry gives as well needs no condition",
        '- {match: {account: "alice"}, actions: [pull, push]}\n- {match: {name: "a/*"}, actions: [pull]}',
        [({"users": ["alice"]}, ("**",), ()), ({"everyone": True}, ("a/*",), ())],
    ),
    (
        "an entry without actions denies within the list alone",
        '- {match: {name: "a/secret"}, actions: []}\n- {match: {name: "a/*"}, actions: [pull]}',
        [({"everyone": True}, ("a/*",), ('!(resource.repository == "a/secret")',))],
    ),
    (
        "an earlier entry about other repositories is not asked for",
        '- {match: {name: "b/*"}, actions: []}\n- {match: {name: "a/*"}, actions: [pull]}',
        [({"everyone": True}, ("a/*",), ())],
    ),
    (
        "an address",
        '- {match: {ip: "10.0.0.7/8", name: "a/*"}, actions: [pull]}',
        [({"everyone": True}, ("a/*",), ('request.address.inNetwork("10.0.0.0/8")',))],
    ),
]


@pytest.mark.parametrize(("acl", "rules"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_a_list_becomes_these_rules(
    tmp_path: Path, acl: str, rules: list[tuple[dict[str, object], tuple[str, ...], tuple[str, ...]]]
) -> None:
    assert [(rule.to, rule.repositories, rule.when) for rule in imported(tmp_path, acl).rules] == rules


def test_without_an_entry_for_nobody_no_rule_is_about_anonymous_callers(tmp_path: Path) -> None:
    acl = '- {match: {name: "a/*"}, actions: [pull]}'
    assert imported(tmp_path, acl, users="users: {alice: {password: x}}\n").rules[0].to == {"signed-in": True}


def test_all_actions_without_a_type_open_the_catalog_too(tmp_path: Path) -> None:
    result = imported(tmp_path, '- {match: {account: alice}, actions: ["*"]}')
    assert [rule.allow for rule in result.rules] == [("pull", "push", "delete"), ("catalog",)]


def test_a_comment_of_several_lines_is_one(tmp_path: Path) -> None:
    acl = '- {match: {account: alice}, actions: [pull], comment: "two\\n lines\\x07"}'
    assert imported(tmp_path, acl).rules[0].description == "two lines (acl, line 3)"


FINDINGS = [
    ('- {match: {name: "${name:1}"}, actions: [pull]}', Kind.LEFT, "a part of what another pattern matched"),
    (
        '- {match: {account: "/^(.+)@x.org$/", name: "/^${account:1}/"}, actions: [pull]}',
        Kind.LEFT,
        "a part of what another pattern matched",
    ),
    (
        '- {match: {account: "/(.+)@x.org$/", name: "${account:1}/*"}, actions: [pull]}',
        Kind.LEFT,
        "a part of what another pattern matched",
    ),
    (
        '- {match: {account: "/^(.+)@x.org$/", name: "${account:1}-?"}, actions: [pull]}',
        Kind.LEFT,
        "no glob of ours can express it",
    ),
    ('- {match: {account: "/^(.+)@x.org$/", name: "${account:1}/*"}, actions: [pull]}', Kind.DANGER, "a pattern there"),
    ('- {match: {service: "x*"}, actions: [pull]}', Kind.LEFT, "--service"),
    ("- {match: {team: dev}, actions: [pull]}", Kind.LEFT, "team: a key unknown to docker_auth"),
    (
        '- {match: {team: x, name: "a/*"}, actions: []}\n- {match: {name: "a/b"}, actions: [pull]}',
        Kind.LEFT,
        "the entry of line 4 could match first",
    ),
    ("- {match: {account: }, actions: [pull]}", Kind.DANGER, "account has no value"),
    ('- {match: {account: ""}, actions: [push]}', Kind.DANGER, "push to callers without credentials"),
    ("- {match: {}, actions: [pull]}", Kind.DANGER, "everybody, with or without credentials"),
    ('- {match: {account: alice}, actions: ["*"]}', Kind.DANGER, "including the list of repositories"),
    ('- {match: {account: alice}, actions: ["*", pull]}', Kind.DANGER, "just a word"),
    ('- {match: {name: "/team/"}, actions: [pull]}', Kind.DANGER, "begins and ends"),
    ('- {match: {account: "/(?i)^bob$/"}, actions: [pull]}', Kind.DANGER, "ignores case"),
    ('- {match: {name: "team/**"}, actions: [pull]}', Kind.DANGER, "stops at a slash"),
    ('- {match: {name: "${labels:group}/*"}, actions: [pull]}', Kind.DANGER, "a pattern there"),
    ('- {match: {name: "{labels:group}/*"}, actions: [pull]}', Kind.NOTHING, "braces without $"),
    (
        "- {match: {}, actions: []}\n- {match: {}, actions: [pull]}",
        Kind.NOTHING,
        "has no effect: the entry of line 4",
    ),
]


FINDINGS += [
    ('- {match: {name: "Team/*"}, actions: [pull]}', Kind.NOTHING, "capitals"),
    ('- {match: {name: "a//b"}, actions: [pull]}', Kind.NOTHING, "name: a//b matches no repository"),
    ('- {match: {name: "a/["}, actions: [pull]}', Kind.NOTHING, "matches nothing"),
    ("- {match: {type: repo}, actions: [pull]}", Kind.NOTHING, "matches neither a repository nor the catalog"),
    ("- {match: {account: zoe}, actions: [pull], action: [push]}", Kind.LEFT, "action: not a key of an entry"),
]


@pytest.mark.parametrize(("acl", "kind", "words"), FINDINGS)
def test_it_is_told(tmp_path: Path, acl: str, kind: Kind, words: str) -> None:
    # A last rule, since a list that says nothing at all is refused.
    result = imported(tmp_path, f"- {{match: {{account: zoe, name: zoe}}, actions: [pull]}}\n{acl}")
    lines = render_text("auth.yml", result.findings)
    assert any(str(kind) in line and words in line for line in lines), lines


@pytest.mark.parametrize("key", ["ext_authz", "acl_mongo", "acl_xorm", "plugin_authz", "casbin_authz", "ldap_auth"])
def test_what_decides_beside_the_list_is_left_behind(tmp_path: Path, key: str) -> None:
    result = imported(tmp_path, "- {match: {}, actions: [pull]}", users=f"{key}: {{}}\n")
    assert [finding.kind for finding in result.findings if key in finding.sentence] == [Kind.LEFT]


UNUSABLE = [
    ("", "auth.yml: has no acl"),
    ("- {actions: [pull]}", "auth.yml:3: acl: this entry has no match"),
    ("- {match: {}}", "auth.yml:3: acl: this entry has no actions"),
    ("- {match: , actions: []}", "auth.yml:3: acl: this entry has no match"),
    ('- {match: {name: "/(/"}, actions: [pull]}', "auth.yml:3: not a regular expression"),
    ('- {match: {ip: "10.0.0"}, actions: [pull]}', "auth.yml:3: '10.0.0' does not appear to be"),
    ("- {match: {}, actions: []}", "auth.yml: nothing in its acl can be expressed"),
    ("- x", "auth.yml:3: acl: this is not an entry"),
    ("- {match: {}, actions: pull}", "auth.yml:3: actions: this is not a list"),
]


@pytest.mark.parametrize(("acl", "words"), UNUSABLE)
def test_what_docker_auth_would_stop_at_is_refused(tmp_path: Path, acl: str, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        imported(tmp_path, acl)
    assert words in str(caught.value)


def test_the_space_of_a_mail_address_has_a_case(tmp_path: Path) -> None:
    acl = '- {match: {account: "/^(.+)@example\\\\.org$/", name: "${account:1}/*"}, actions: [pull]}'
    cases = imported(tmp_path, acl).cases
    assert [(case["who"], case["what"], case["expected"]) for case in cases] == [
        ({"user": "somebody@example.org"}, "repository:somebody/app:pull", "allow"),
        ({"user": "somebody@example.org"}, "repository:somebody/app:push,delete", "deny"),
    ]


TWO_LABELS = """
  ann: {password: x, labels: {project: [web, api], group: [dev]}}
  bob: {password: x, labels: {project: [web], group: [ops]}}
"""


def test_two_labels_in_one_name_are_the_product_of_their_values_each_with_a_case(tmp_path: Path) -> None:
    acl = '- {match: {name: "${labels:project}-${labels:group}/*"}, actions: [pull]}'
    result = imported(tmp_path, acl, users=f"users:{TWO_LABELS}")
    assert [rule.repositories for rule in result.rules] == [
        ("api-dev/*",),
        ("api-ops/*",),
        ("web-dev/*",),
        ("web-ops/*",),
    ]
    assert result.rules[0].to == {"groups": ["project:api"]}
    assert result.rules[0].when == ('"group:dev" in identity.groups',)
    assert {case["rule"] for case in result.cases if "rule" in case} == {rule.name for rule in result.rules}


@pytest.mark.parametrize(
    ("users", "why"),
    [
        (f"users:{TWO_LABELS}ldap_auth: {{}}\n", "from other sources"),
        (f'users:{TWO_LABELS}  "": {{labels: {{group: [dev]}}}}\n', "callers without credentials have labels"),
        (
            f"users:{TWO_LABELS}  eve: {{labels: {{project: [{', '.join(f'p{i}' for i in range(600))}]}}}}\n",
            "more than 1000 choices",
        ),
    ],
)
def test_two_labels_that_cannot_be_said_are_left_behind(tmp_path: Path, users: str, why: str) -> None:
    acl = (
        "- {match: {account: zoe, name: zoe}, actions: [pull]}\n"
        '- {match: {name: "${labels:project}-${labels:group}/*"}, actions: [pull]}'
    )
    findings = imported(tmp_path, acl, users=users).findings
    assert any(finding.kind is Kind.LEFT and why in finding.sentence for finding in findings), findings


def test_keys_that_docker_auth_does_not_know_are_told(tmp_path: Path) -> None:
    result = imported(tmp_path, "- {match: {}, actions: [pull]}", users="user: {}\nusers: {ann: {passwd: x}}\n")
    assert {(finding.line, finding.kind) for finding in result.findings if "a key unknown to" in finding.sentence} == {
        (1, Kind.LEFT),
        (2, Kind.LEFT),
    }


@pytest.mark.parametrize(
    "entry",
    ['account: "user%d", name: "team%d/*"', 'account: "u%d", name: "*/*"'],
)
def test_a_long_list_of_globs_is_read_in_seconds(tmp_path: Path, entry: str) -> None:
    acl = "\n".join(
        f"- {{match: {{{entry.replace('%d', str(i))}}}, actions: [{', '.join(('pull', 'push')[: i % 3])}]}}"
        for i in range(1500)
    )
    begun = time.process_time()
    assert imported(tmp_path, acl).rules
    assert time.process_time() - begun < 40  # 3 to 10 here; pair by pair it took minutes


def test_helm_values_are_told_with_the_key_that_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("auth:\n  config: |\n    acl:\n      - {match: {}, actions: [pull]}\n")
    with pytest.raises(DocumentError, match=r"values.yaml:2: the file is wrapped: .*below auth → config, as a text"):
        import_docker_auth(path)
