import re
from itertools import permutations
from pathlib import Path

import pytest

from authproxy.access import CATALOG, Access, pull, push
from authproxy.errors import StartError
from authproxy.policy import DEFAULT_POLICY
from authproxy.policy.decide import decide
from authproxy.policy.load import PolicyError, load_policies
from authproxy.policy.model import (
    ANONYMOUS,
    ANY_ROBOT,
    HIDDEN_ACTIONS,
    REPOSITORY_ACTIONS,
    SIGNED_IN,
    Action,
    Effect,
    SubjectKey,
)
from authproxy.principal import Principal
from tests.support.binaries import ROOT

DEFAULT = ROOT / "policies/default.yaml"
ALICE = Principal("alice", frozenset({"devs"}))

GOOD = """\
version: 1
rules:
  - name: own space
    description: >
      Everybody signed in may do everything
      below their own name.
    allow: [pull, push]
    to:
      users: [alice, "bob smith"]
      robots: [ci]
      groups: [no, 12]
      claims: {project: [a/b, true]}
      anonymous: true
      any-robot: true
      signed-in: true
    on: {repositories: ["{user}/**", "public/*"]}
    lifetime: 1h30m
  - name: nobody deletes
    deny: ["*"]
    to: {everyone: true}
    on: {repositories: [archive/**], tags: ["v*", 1.0]}
  - name: list
    allow: [catalog]
    to: {groups: [ops]}
"""


def write(folder: Path, text: str, name: str = "team.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def make_file(body: str) -> str:
    """A policy file of one rule, given without its indentation."""
    first, *others = body.splitlines()
    return "\n".join(["version: 1", "rules:", f"  - {first}", *(f"    {line}" for line in others), ""])


def test_every_field_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    own, archive, catalog = load_policies(path).rules
    assert (own.name, own.effect, own.file, own.line) == ("own space", Effect.ALLOW, str(path), 3)
    assert own.description == "Everybody signed in may do everything below their own name."
    assert own.actions == {Action.PULL, Action.PUSH}
    # YAML's `no` and 12 are names here, not a boolean and a number.
    names: list[tuple[str, ...]] = [("user", "alice"), ("user", "bob smith"), ("group", "no"), ("group", "12")]
    names += [("robot", "ci")]
    names += [("claim", "a/b", "project"), ("claim", "true", "project")]
    assert own.subjects.any_of == {SIGNED_IN, ANONYMOUS, ANY_ROBOT, *(SubjectKey(*name) for name in names)}
    assert [glob.text for glob in own.resources.repositories] == ["{user}/**", "public/*"]
    assert (own.lifetime_s, archive.lifetime_s) == (5400, None)
    assert own.summary.endswith(", for 1h30m")
    assert (archive.effect, archive.actions, archive.line) == (Effect.DENY, frozenset(REPOSITORY_ACTIONS), 18)
    assert [glob.text for glob in archive.resources.tags] == ["v*", "1.0"]
    assert archive.summary == "deny pull, push, delete to everyone on archive/** with tags v*, 1.0"
    assert (catalog.actions, catalog.resources.repositories) == (frozenset([Action.CATALOG]), ())


def test_a_star_does_not_open_the_catalog(tmp_path: Path) -> None:
    text = make_file('name: all\nallow: ["*"]\nto: {everyone: true}\non: {repositories: ["team/**"]}')
    policies = load_policies(write(tmp_path, text))
    assert decide(policies, ALICE, push("team/app")).allowed
    assert not decide(policies, ALICE, CATALOG).allowed


def test_what_push_hides_can_be_denied_beside_other_actions(tmp_path: Path) -> None:
    text = make_file('name: r\ndeny: ["*", create, overwrite]\nto: {everyone: true}\non: {repositories: ["**"]}')
    (rule,) = load_policies(write(tmp_path, text)).rules
    assert rule.actions == {*REPOSITORY_ACTIONS, *HIDDEN_ACTIONS}


RULE = 'name: r\nallow: [pull]\nto: {everyone: true}\non: {repositories: ["**"]}'

REFUSED = [
    ("empty file", "", ":1: "),
    ("a list", "- version: 1", ":1: "),
    ("no version", "rules: []", ": version: missing"),
    ("another version", make_file(RULE).replace("1", "2"), ":1: version: unknown value; allowed: '1'"),
    ("no rules", "version: 1", ": rules: missing"),
    ("an empty list of rules", "version: 1\nrules: []", ":2: rules: an empty list; allowed: at least one entry"),
    ("an unknown section", make_file(RULE) + "roles: {}", ":7: roles: unknown key"),
    ("not YAML", "version: [", ":"),
    ("a key twice", make_file(RULE + "\nto: {users: [a]}"), "duplicate key"),
    ("a rule that is text", "version: 1\nrules: [all]", ":2: rules.0: "),
    ("no name", make_file(RULE.replace("name: r", "description: r")), ":3: rules.0.name: missing"),
    ("an empty name", make_file(RULE.replace("name: r", 'name: ""')), ":3: rules.0.name: this must be one line"),
    ("a name of two lines", make_file(RULE.replace("name: r", r'name: "a\nb"')), ":3: rules.0.name: this must be one"),
    ("a description with controls", make_file(RULE + '\ndescription: "\\e[2J"'), ":7: rules.0.description: "),
    ("an unknown key of a rule", make_file(RULE + "\nwhere: x"), ":7: rules.0.where: unknown key"),
    ("a misspelt subject", make_file(RULE.replace("everyone", "everbody")), ":5: rules.0.to.everbody: unknown key"),
    (
        "an underscore for a dash",
        make_file(RULE.replace("everyone", "signed_in")),
        "allowed: users, robots, groups, claims, anonymous",
    ),
    (
        "a misspelt resource",
        make_file(RULE.replace("repositories", "repository")),
        ":6: rules.0.on.repository: unknown",
    ),
    ("an unknown action", make_file(RULE.replace("[pull]", "[pull, pul]")), ":4: rules.0.allow.1: unknown value"),
    ("an action in capitals", make_file(RULE.replace("[pull]", "[PULL]")), ":4: rules.0.allow.0: unknown value"),
    ("no actions", make_file(RULE.replace("[pull]", "[]")), ":4: rules.0.allow: an empty list"),
    ("null for actions", make_file(RULE.replace("[pull]", "")), ":4: rules.0.allow: expected a list"),
    ("one action, no list", make_file(RULE.replace("[pull]", "pull")), ":4: rules.0.allow: expected a list"),
    ("neither allow nor deny", make_file(RULE.replace("\nallow: [pull]", "")), ":3: rules.0: a rule allows or denies"),
    ("allow and deny", make_file(RULE + "\ndeny: [push]"), "allowed: exactly one of allow and deny"),
    ("nobody", make_file(RULE.replace("{everyone: true}", "{}")), ":5: rules.0.to: this matches no caller"),
    ("null for subjects", make_file(RULE.replace("{everyone: true}", "")), ":5: rules.0.to: "),
    ("no subjects", make_file(RULE.replace("\nto: {everyone: true}", "")), ":3: rules.0.to: missing"),
    (
        "a flag that is false",
        make_file(RULE.replace("true", "false")),
        ":5: rules.0.to.everyone: this can only be true",
    ),
    (
        "a flag that is a list",
        make_file(RULE.replace("true", "[true]")),
        ":5: rules.0.to.everyone: this can only be true",
    ),
    ("an empty list of users", make_file(RULE.replace("everyone: true", "users: []")), "users: an empty list"),
    ("a user, no list", make_file(RULE.replace("everyone: true", "users: alice")), "users: expected a list"),
    ("a user who is null", make_file(RULE.replace("everyone: true", "users: [~]")), "users.0: "),
    ("a user who is nobody", make_file(RULE.replace("everyone: true", "users: ['']")), "users.0: this must be"),
    ("a star for a user", make_file(RULE.replace("everyone: true", "users: ['*']")), 'users.0: "*" looks like'),
    ("a placeholder for a group", make_file(RULE.replace("everyone: true", "groups: ['{user}']")), "exact names"),
    (
        "no resources",
        make_file(RULE.replace('\non: {repositories: ["**"]}', "")),
        "allowed: on: {repositories: [globs]}",
    ),
    ("empty resources", make_file(RULE.replace('repositories: ["**"]', "")), ":6: rules.0.on.repositories: missing"),
    ("an empty list of globs", make_file(RULE.replace('"**"', "")), ":6: rules.0.on.repositories: an empty list"),
    ("a bad glob", make_file(RULE.replace("**", "Team")), ":6: rules.0.on.repositories.0: no repository name can"),
    (
        "a glob that is null",
        make_file(RULE.replace('"**"', "~")),
        ":6: rules.0.on.repositories.0: expected one value",
    ),
    ("a bad tag", make_file(RULE.replace("]}", "], tags: [a/b]}")), ':6: rules.0.on.tags.0: no tag can be "a/b"'),
    (
        "a tag that is null",
        make_file(RULE.replace("]}", "], tags: [~]}")),
        ":6: rules.0.on.tags.0: expected one value",
    ),
    ("an empty list of tags", make_file(RULE.replace("]}", "], tags: []}")), ":6: rules.0.on.tags: an empty list"),
    (
        "tags alone",
        make_file(RULE.replace('repositories: ["**"]', "tags: [a]")),
        ":6: rules.0.on.repositories: missing",
    ),
    (
        "to allow what push allows",
        make_file(RULE.replace("[pull]", "[push, overwrite]")),
        ":4: rules.0.allow.1: push includes it; allowed: deny: [overwrite] for callers who must not do it",
    ),
    (
        "to create a tag",
        make_file(RULE.replace("allow: [pull]", "deny: [push, create]").replace("]}", "], tags: [a]}")),
        ":3: rules.0: a repository is created before it has tags; allowed: create in a rule without tags",
    ),
    ("catalog with repositories", make_file(RULE.replace("[pull]", "[catalog]")), "allowed: leave `on` out"),
    ("catalog beside others", make_file(RULE.replace("[pull]", "[pull, catalog]")), "in a rule of its own"),
]


@pytest.mark.parametrize(("text", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(PolicyError, match=f"^{re.escape(str(path))}:[0-9]+: ") as caught:
        load_policies(path)
    assert says in str(caught.value)


def test_the_rule_that_the_refused_ones_are_made_from_is_good(tmp_path: Path) -> None:
    assert len(load_policies(write(tmp_path, make_file(RULE))).rules) == 1


def test_an_error_stops_the_start_in_one_line_for_each_fault(tmp_path: Path) -> None:
    write(tmp_path, make_file(RULE.replace("true", "false") + "\nwhen: x"), "a.yaml")
    write(tmp_path, "version: 2\nrules: []", "b.yaml")
    with pytest.raises(StartError) as caught:
        load_policies(tmp_path)
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        f"{tmp_path}/a.yaml:5",
        f"{tmp_path}/a.yaml:7",
        f"{tmp_path}/b.yaml:1",
        f"{tmp_path}/b.yaml:2",
    ]


def test_a_folder_is_all_its_yaml_files(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", ".hidden.yaml", "notes.md", "old.yaml.bak"):
        write(tmp_path, make_file(RULE.replace("name: r", f"name: {name}")), name)
    (tmp_path / "folder.yaml").mkdir()
    assert [rule.name for rule in load_policies(tmp_path).rules] == ["a.yml", "b.yaml"]


def test_the_order_of_files_never_matters(tmp_path: Path) -> None:
    bodies = {
        "allow": make_file(RULE),
        "deny": make_file('name: d\ndeny: [pull]\nto: {users: [alice]}\non: {repositories: ["secret/**"]}'),
        "other": make_file('name: o\nallow: [push]\nto: {groups: [devs]}\non: {repositories: ["secret/**"]}'),
    }
    answers = set()
    for number, order in enumerate(permutations(bodies)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, which in zip("abc", order, strict=True):
            write(folder, bodies[which], f"{name}.yaml")
        policies = load_policies(folder)
        asked = [pull("secret/a"), push("secret/a"), pull("other"), push("other")]
        answers.add(tuple(decide(policies, ALICE, access).allowed for access in asked))
    assert answers == {(False, True, True, False)}


def test_two_rules_of_one_name_are_refused_over_all_files(tmp_path: Path) -> None:
    write(tmp_path, make_file(RULE), "a.yaml")
    write(tmp_path, make_file(RULE), "b.yaml")
    with pytest.raises(PolicyError) as caught:
        load_policies(tmp_path)
    assert str(caught.value) == (
        f'{tmp_path}/b.yaml:3: name: "r" is already the name of the rule at {tmp_path}/a.yaml:3;'
        " allowed: a name that no other rule has"
    )


def test_one_broken_file_keeps_all_from_loading(tmp_path: Path) -> None:
    write(tmp_path, make_file(RULE), "a.yaml")
    write(tmp_path, "version: 1", "b.yaml")
    with pytest.raises(PolicyError, match=r"b\.yaml"):
        load_policies(tmp_path)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policies(tmp_path / "policies")


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"contains no policy.*allowed: files \*\.yaml"):
        load_policies(tmp_path)


def test_a_link_that_leads_nowhere_is_no_reason_to_go_on_without_its_rules(tmp_path: Path) -> None:
    write(tmp_path, make_file(RULE), "a.yaml")
    (tmp_path / "denies.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(PolicyError, match=r"denies\.yaml: cannot be read"):
        load_policies(tmp_path)


def test_both_copies_of_the_default_policy_are_equal() -> None:
    assert DEFAULT.read_bytes() == DEFAULT_POLICY.encode()


ADMIN = Principal("root", frozenset({"admins"}))

DEFAULTS = [
    ("an administrator does everything", ADMIN, push("bob/app"), True),
    ("an administrator sees the catalog", ADMIN, CATALOG, True),
    ("a user has their own space", ALICE, push("alice/app"), True),
    ("a user has nobody else's space", ALICE, pull("bob/app"), False),
    ("a user pulls what is public", ALICE, pull("public/app"), True),
    ("a user pushes nothing public", ALICE, push("public/app"), False),
    ("a user sees no catalog", ALICE, CATALOG, False),
    ("a user named as the group is no administrator", Principal("admins"), push("bob/app"), False),
    ("anonymous callers pull nothing", Principal(""), pull("public/app"), False),
    ("anonymous callers see no catalog", Principal(""), CATALOG, False),
]


@pytest.mark.parametrize(
    ("principal", "access", "is_allowed"), [row[1:] for row in DEFAULTS], ids=[r[0] for r in DEFAULTS]
)
def test_the_default_policy(principal: Principal, access: Access, is_allowed: bool) -> None:  # noqa: FBT001  a column
    assert decide(load_policies(DEFAULT), principal, access).allowed is is_allowed
