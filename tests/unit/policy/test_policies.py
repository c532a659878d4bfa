import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from authproxy.access import CATALOG, Access, delete, pull, push
from authproxy.files.reload import DoesNotLoad
from authproxy.policy.load import PolicyError
from authproxy.policy.model import Action
from authproxy.policy.policies import Policies
from authproxy.principal import ANONYMOUS, Principal

ALICE = Principal("alice")


def make_policy(name: str, actions: str = "[pull]", glob: str = "{user}/**", effect: str = "allow") -> str:
    return (
        f"version: 1\nrules:\n  - name: {name}\n    {effect}: {actions}\n"
        f'    to: {{everyone: true}}\n    on: {{repositories: ["{glob}"]}}\n'
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(make_policy("own"), encoding="utf-8")
    return tmp_path


def test_a_broken_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        Policies(tmp_path)


def test_a_changed_file_is_in_force_after_the_next_look(folder: Path) -> None:
    policies = Policies(folder)
    assert not policies.decide(ALICE, push("alice/app")).allowed
    (folder / "a.yaml").write_text(make_policy("own", "[pull, push]"), encoding="utf-8")
    with capture_logs() as logs:
        policies.refresh()
    assert policies.decide(ALICE, push("alice/app")).allowed
    assert [(line["event"], line["rules"]) for line in logs] == [("policies loaded", 1)]


def test_a_new_file_and_a_removed_file_count(folder: Path) -> None:
    policies = Policies(folder)
    (folder / "b.yml").write_text(make_policy("stop", glob="**", effect="deny"), encoding="utf-8")
    policies.refresh()
    assert not policies.decide(ALICE, pull("alice/app")).allowed
    (folder / "b.yml").unlink()
    policies.refresh()
    assert policies.decide(ALICE, pull("alice/app")).allowed


def test_nothing_is_read_where_nothing_changed(folder: Path) -> None:
    policies = Policies(folder)
    before = policies.current
    policies.refresh()
    assert policies.current is before


def test_a_broken_file_leaves_the_old_rules_in_force_until_it_loads(folder: Path) -> None:
    policies = Policies(folder)
    before = policies.current
    (folder / "b.yaml").write_text("version: 1\nrulez: []\n", encoding="utf-8")
    for _ in range(3):
        with pytest.raises(DoesNotLoad, match=rf"{folder}/b\.yaml:2: rulez: unknown key"):
            policies.refresh()
    assert policies.current is before


def test_a_file_that_cannot_be_read_is_not_one_that_is_wrong(folder: Path) -> None:
    """Nobody knows what it says, and it may deny: not even its being there makes up for it."""
    policies = Policies(folder)
    (folder / "b.yaml").symlink_to(folder / "nowhere")
    (folder / "c.yaml").write_text("version: 1\nrulez: []\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"b\.yaml: cannot be read"):
        policies.refresh()


def test_all_files_gone_leave_the_old_rules_in_force(folder: Path) -> None:
    policies = Policies(folder)
    (folder / "a.yaml").unlink()
    with pytest.raises(DoesNotLoad, match="contains no policy"):
        policies.refresh()
    assert policies.decide(ALICE, pull("alice/app")).allowed


def test_a_mended_file_is_in_force_even_where_it_looks_the_same_from_outside(folder: Path) -> None:
    # Such as one whose permission was given back: neither size nor time changes.
    policies = Policies(folder)
    good = make_policy("stop", glob="**", effect="deny")
    path = folder / "b.yaml"
    path.write_text(good.replace("rules", "rulez"), encoding="utf-8")
    with pytest.raises(DoesNotLoad):
        policies.refresh()
    assert policies.decide(ALICE, pull("alice/app")).allowed
    status = path.stat()
    path.write_text(good, encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    policies.refresh()
    assert not policies.decide(ALICE, pull("alice/app")).allowed


def test_granted_is_the_part_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(make_policy("own", "[pull, delete]"), encoding="utf-8")
    policies = Policies(path)
    wanted = [pull("alice/app"), push("alice/app"), pull("bob/app"), CATALOG, Access("x", "y", "z")]
    assert policies.granted(ALICE, wanted) == {pull("alice/app")}
    assert policies.granted(ALICE, []) == frozenset()
    assert policies.granted(ANONYMOUS, wanted) == frozenset()


def test_what_is_decided_has_each_single_action_once_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(make_policy("own", "[pull, delete]"), encoding="utf-8")
    star = Access("repository", "alice/app", "*")
    decided = Policies(path).decided(ALICE, [push("alice/app"), star, CATALOG])
    assert [(access, decision.allowed) for access, decision in decided] == [
        (push("alice/app"), False),
        (pull("alice/app"), True),
        (delete("alice/app"), True),
        (CATALOG, False),
    ]
    assert decided[1][1].reason == f'allowed by {path}:3 "own"'


def test_rules_about_tags_are_asked_where_a_request_is_served(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(
        make_policy("own", "[pull, push]", "team/**")
        + "  - name: stay\n    deny: [overwrite]\n    to: {groups: [devs]}\n"
        "    on: {repositories: [team/**], tags: [v*]}\n",
        encoding="utf-8",
    )
    policies, dev = Policies(path), Principal("bob", frozenset({"devs", "ops"}))
    assert policies.granted(dev, [push("team/app")]) == {push("team/app")}
    assert policies.asks_for_tag(Action.PUSH, "team/app")
    assert not policies.asks_for_tag(Action.PULL, "team/app")
    carried = policies.carried(dev, [push("team/app")])
    assert carried.groups == {"devs"}
    for principal in (dev, carried.to_principal("bob")):
        assert not policies.decide_served(principal, Action.OVERWRITE, "team/app", "v1").allowed
        assert policies.decide_served(principal, Action.OVERWRITE, "team/app", "dev").allowed
    assert policies.carried(dev, [push("other")]).groups == frozenset()


def test_a_star_is_granted_as_the_single_actions_that_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(make_policy("own", "[pull, delete]"), encoding="utf-8")
    granted = Policies(path).granted(ALICE, [Access("repository", "alice/app", "*")])
    assert granted == {pull("alice/app"), delete("alice/app")}


def test_what_it_shows_of_itself(folder: Path) -> None:
    assert repr(Policies(folder)) == f"Policies({str(folder)!r}, rules=1)"
