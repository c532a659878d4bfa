"""`images delete HOST/REPOSITORY`, against our own registry and others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authproxy.digest import Digest
from tests.images.conftest import Images, Registry
from tests.images.layouts import write_two_platforms
from tests.support.image import Image, make_image, write_layout
from tests.support.people import ALICE, BOB
from tests.support.server import ADMIN, ADMIN_PASSWORD, Server, running_server


@pytest.fixture(params=["plain", "ours", "fronted"])
def registry(request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(request.param)
    return found


def fill(images: Images, place: str, tmp_path: Path) -> tuple[Image, Image, Digest, Image, Image]:
    """An index with its two images, an image with two tags, and one whose tag was moved away."""
    amd, arm, index = write_two_platforms(tmp_path / "index", f"{place}:multi")
    images.must("push", tmp_path / "index", place.partition("/")[0])
    old, new = make_image(f"old {place}"), make_image(f"new {place}")
    for image, folder in ((old, "old"), (new, "new")):
        write_layout(image, tmp_path / folder, "latest")
        images.must("push", tmp_path / folder, place)
    images.must("tag", f"{place}:latest", f"{place}:v2")
    return amd, arm, index, old, new


def test_repository_goes_as_a_whole(images: Images, registry: Registry, ours: Registry, tmp_path: Path) -> None:
    place = f"{registry.host}/whole/app"
    amd, arm, index, old, new = fill(images, place, tmp_path)
    write_layout(make_image("beside"), tmp_path / "beside", "v1")
    images.must("push", tmp_path / "beside", f"{place}/beside")
    is_complete = registry is ours  # only our own core lists the image whose tag was moved away

    assert images("delete", place).code == 2, "nobody can be asked"
    *would, whole = images.objects("delete", "--dry-run", place)
    expected = {
        str(new.digest): ["latest", "v2"], str(index): ["multi"], str(amd.digest): [], str(arm.digest): [],
    } | ({str(old.digest): []} if is_complete else {})  # fmt: skip
    assert {each["digest"]: each["tags"] for each in would} == expected
    assert {each["outcome"] for each in (*would, whole)} == {"would be deleted"}
    assert whole["name"] == place
    counts = whole["whole"]
    assert (counts["tags"], counts["manifests"], counts["complete"]) == (3, len(expected), bool(is_complete))

    done = images("delete", "--yes", place)
    assert done.code == 0, str(done)
    *lines, last = done.out.splitlines()
    order = [line.rpartition(" ")[2] for line in lines]
    assert set(order) == set(expected)
    assert max(order.index(str(each.digest)) for each in (amd, arm)) > order.index(str(index))
    assert last == f"deleted {place} as {'a whole' if is_complete else 'far as the registry lists it'}"
    assert ("the registry doesn't list all manifests" in done.err) == (not is_complete)
    assert images.list(registry, "--filter", "whole/*") == ["whole/app/beside:v1"]
    for image in (amd, arm, new):
        assert images("inspect", f"{place}@{image.digest}").code == 1
    again = images("delete", "--yes", place)
    if is_complete:
        assert (again.code, again.err) == (1, f"authproxy: {place}: the registry has no such repository\n")


RULES = """\
version: 1
rules:
  - name: releases stay
    description: A release is never deleted.
    deny: [delete]
    to: {everyone: true}
    on: {repositories: ["rules/**"], tags: ["v*"]}
  - name: alice pulls and pushes
    allow: [pull, push]
    to: {users: [alice]}
    on: {repositories: ["rules/**"]}
  - name: bob deletes
    allow: [pull, push, delete]
    to: {users: [bob]}
    on: {repositories: ["rules/**"]}
  - name: bob does not see what is internal
    deny: [pull]
    to: {users: [bob]}
    on: {repositories: ["rules/**"], tags: ["internal*"]}
"""


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with rules about single tags."""
    with running_server(tmp_path_factory.mktemp("ruled")) as server:
        (server.folder / "policies" / "rules.yaml").write_text(RULES)
        server.wait_until(lambda: "policies loaded" in server.output)
        for user in (ALICE, BOB):
            server.add_user(user.name, user.password)
        yield server


def logged_in(server: Server, home: Path, user: str, password: str) -> Images:
    home.mkdir()
    person = Images(home, server.ca)
    person.store_logins(Registry(server.host, user, password, server.ca))
    return person


def test_protected_tag_stays_with_what_it_needs(ruled: Server, tmp_path: Path) -> None:
    admin = logged_in(ruled, tmp_path / "home", ADMIN, ADMIN_PASSWORD)
    place = f"{ruled.host}/rules/protected"
    amd, arm, index, old, _ = fill(admin, place, tmp_path)
    admin.must("tag", f"{place}:multi", f"{place}:v1")
    done = admin("delete", "--yes", place)
    assert done.code == 1
    for name in (f"@{amd.digest}", f"@{arm.digest}", ":multi", ":v1", ":latest"):
        assert f"{place}{name}: HTTP 403 DENIED: admin may not delete rules/protected:v" in done.err
    assert f"deleted {place}@{old.digest}" in done.out
    assert "as a whole\n" not in done.out
    assert str(index) in admin.must("inspect", f"{place}:v1")


def test_user_who_may_not_delete_is_refused_once(ruled: Server, tmp_path: Path) -> None:
    alice = logged_in(ruled, tmp_path / "home", ALICE.name, ALICE.password)
    place = f"{ruled.host}/rules/mine"
    fill(alice, place, tmp_path)
    listed = sorted(alice.list(Registry(ruled.host), "--filter", "rules/mine:*"))
    done = alice("delete", "--yes", place)
    assert "HTTP 401 UNAUTHORIZED: alice may not delete rules/mine\n" in done.err
    assert f"authproxy: {place}: stopped; 4 more were not tried" in done.err
    assert (done.code, done.out) == (1, "")
    assert sorted(alice.list(Registry(ruled.host), "--filter", "rules/mine:*")) == listed


def test_rules_that_hide_tags_hide_what_they_lead_to(ruled: Server, tmp_path: Path) -> None:
    admin = logged_in(ruled, tmp_path / "admin", ADMIN, ADMIN_PASSWORD)
    bob = logged_in(ruled, tmp_path / "bob", BOB.name, BOB.password)
    place = f"{ruled.host}/rules/hidden"
    _, _, _, old, _ = fill(admin, place, tmp_path)
    admin.must("delete", "--yes", f"{place}:multi")
    internal = make_image("internal")
    write_layout(internal, tmp_path / "internal", "internal")
    admin.must("push", tmp_path / "internal", place)
    *would, whole = bob.objects("delete", "--dry-run", place)
    assert ([each["tags"] for each in would], whole["whole"]["complete"]) == ([["latest", "v2"]], False)
    *would, whole = admin.objects("delete", "--dry-run", place)
    assert {each["digest"] for each in would} >= {str(internal.digest), str(old.digest)}
    assert whole["whole"]["complete"]


def test_image_that_an_index_needs_stays_and_the_index_is_named(images: Images, ours: Registry, tmp_path: Path) -> None:
    place = f"{ours.host}/needed/app"
    amd, _, index = write_two_platforms(tmp_path / "layout", f"{place}:multi")
    images.must("push", tmp_path / "layout", ours.host)
    images.must("tag", f"{place}@{amd.digest}", f"{place}:amd")
    named = images("delete", "--yes", f"{place}:amd")
    assert (named.code, named.out) == (1, "")
    assert f"needed by {index}, which names it" in named.err
    by_rules = images("delete", "--yes", "--match", "amd", place)
    assert (by_rules.code, by_rules.out) == (0, f"kept {place}:amd {amd.digest}: needed by {index}\n")
    (kept,) = images.objects("delete", "--yes", "--match", "amd", place)
    assert (kept["outcome"], kept["needed_by"]) == ("kept", str(index))
    assert images("delete", "--yes", place).code == 0


def test_signature_goes_with_its_repository(images: Images, registry: Registry, tmp_path: Path) -> None:
    place = f"{registry.host}/whole-signed/app"
    image = make_image("signed")
    write_layout(image, tmp_path / "layout", "v1")
    images.must("push", tmp_path / "layout", place)
    write_layout(make_image("signature"), tmp_path / "signature", f"sha256-{image.digest.hex}.sig")
    images.must("push", tmp_path / "signature", place)
    assert images("delete", "--yes", place).code == 0
    assert images.list(registry, "--filter", "whole-signed/*") == []
