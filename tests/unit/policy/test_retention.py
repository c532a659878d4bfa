"""What retention decides, as rows, and what holds for any entries and images."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.document.tree import parse_document
from authproxy.digest import Digest
from authproxy.policy.file_schema import parse_policy
from authproxy.policy.model import PolicySet
from authproxy.policy.retention import Image, Outcome, Retained, RetentionRefused, RetentionRule, decide_retention
from authproxy.policy.retention_protection import find_protection
from authproxy.policy.running_images import RunningImages, parse_running_images
from authproxy.reference import Tag

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BEGAN = NOW - timedelta(days=100)
HEX = Digest.of(b"subject").hex


def rules(text: str) -> tuple[RetentionRule, ...]:
    return parse_policy(parse_document(f"version: 1\nretention:\n{text}", "p.yaml")).retention


def entry(keep: str, *, on: str = '{repositories: ["**"]}', more: str = "") -> str:
    return f"  - {{name: one, on: {on}, keep: {keep}{more}}}\n"


def image(
    tag: str | None,
    pushed: float | None = None,
    pulled: float | None = None,
    *,
    of: str = "",
    names: Sequence[str] = (),
) -> Image:
    """Times in days ago."""
    return Image(
        Digest.of((of or tag or "untagged").encode()),
        None if tag is None else Tag(tag),
        None if pushed is None else NOW - timedelta(days=pushed),
        None if pulled is None else NOW - timedelta(days=pulled),
        frozenset(Digest.of(name.encode()) for name in names),
    )


def decide(
    text: str,
    images: Sequence[Image],
    *,
    began: datetime | None = BEGAN,
    running: str = "",
    policies: PolicySet | None = None,
    repository: str = "team/app",
) -> list[Retained]:
    found = rules(text)
    content = parse_running_images(running) if running else RunningImages(frozenset(), frozenset())
    return decide_retention(
        repository,
        images,
        found,
        now=NOW,
        records_began=began,
        running={file: content for rule in found for file in rule.files},
        protection=find_protection(policies or PolicySet(), repository, now=None),
    )


def removed(decided: Sequence[Retained]) -> set[str]:
    return {one.image.tag or "untagged" for one in decided if one.outcome is Outcome.REMOVED}


class Row(NamedTuple):
    what: str
    entries: str
    images: tuple[Image, ...]
    removed: set[str]
    running: str = ""
    began: datetime | None = BEGAN


ROWS = [
    Row("tags", entry('[{tags: ["v*"]}]'), (image("v1"), image("pr-1", 1)), {"pr-1"}),
    Row("newest", entry("[{newest: 2}]"), (image("a", 3), image("b", 2), image("c", 1)), {"a"}),
    Row(
        "newest counts manifests",
        entry("[{newest: 2}]"),
        (image("a", 3), image("b", 2), image("c", 1, of="x"), image("d", 1, of="x"), image("e", 1, of="x")),
        {"a"},
    ),
    Row("the last place is shared", entry("[{newest: 1}]"), (image("a", 2), image("b", 2), image("c", 3)), {"c"}),
    Row(
        "newest among tags",
        entry('[{newest: 1, tags: ["main-*"]}]'),
        (image("main-1", 3), image("main-2", 2), image("pr", 1)),
        {"main-1", "pr"},
    ),
    Row(
        "an unknown push takes no place of another",
        entry("[{newest: 1}]"),
        (image("a"), image("b"), image("old", 200)),
        set(),
    ),
    Row("an unknown push is as old as the records", entry("[{newest: 1}]"), (image("a"), image("b", 1)), {"a"}),
    Row("places are left", entry("[{newest: 2}]"), (image("a"), image("b"), image("c", 1)), set()),
    Row("pushed within", entry("[{pushed-within: 30d}]"), (image("a", 30), image("b", 31), image("c")), {"b", "c"}),
    Row("pushed within, records are new", entry("[{pushed-within: 101d}]"), (image("a"), image("b", 102)), {"b"}),
    Row("no records", entry("[{pushed-within: 1h}]"), (image("a"), image("b", 1)), {"b"}, began=None),
    Row(
        "pulled within",
        entry("[{pulled-within: 30d}]"),
        (image("a", 300, 29), image("b", 300, 31), image("c", 300), image("new", 3), image("unknown")),
        {"b", "c", "unknown"},
    ),
    Row("never pulled, new records", entry("[{pulled-within: 120d}]"), (image("a", 300), image("b")), set()),
    Row(
        "last pulled",
        entry("[{last-pulled: 1}]"),
        (image("a", 300, 29), image("b", 20, 31), image("c", 300)),
        {"c"},
    ),
    Row(
        "tags that it is not about",
        entry("[{newest: 1}]", on='{repositories: ["**"], tags: ["pr-*"]}'),
        (image("pr-1", 2), image("pr-2", 1), image("v1", 900)),
        {"pr-1"},
    ),
    Row("another repository", entry("[{newest: 1}]", on='{repositories: ["other/**"]}'), (image("a", 900),), set()),
    Row("excepted", entry("[{tags: [x]}]", on='{repositories: ["**"], except: ["team/*"]}'), (image("a", 900),), set()),
    Row("dry", entry("[{tags: [x]}]", more=", dry-run: true"), (image("a", 900),), set()),
    Row("untagged stay", entry("[{tags: [x]}]"), (image(None, 900),), set()),
    Row(
        "untagged",
        entry("[{tags: [x]}]", more=", untagged: [{pushed-within: 7d}]"),
        (image(None, 8), image("x", 9)),
        {"untagged"},
    ),
    Row("untagged within", entry("[{tags: [x]}]", more=", untagged: [{pushed-within: 7d}]"), (image(None, 6),), set()),
    Row(
        "untagged and not counted with tags",
        entry("[{newest: 1}]", more=", untagged: [{newest: 1}]"),
        (image(None, 8), image("x", 9)),
        set(),
    ),
    Row(
        "what runs", entry("[{images: f}]"), (image("v1", 900), image("v2", 900)), {"v2"}, "r.example.org/team/app:v1\n"
    ),
    Row(
        "another repository runs", entry("[{images: f}]"), (image("v1", 900),), {"v1"}, "r.example.org/team/other:v1\n"
    ),
    Row(
        "a digest runs, whatever its name",
        entry("[{images: f}]"),
        (image("v1", 900), image("v2", 900)),
        {"v2"},
        f"other.example.org/x@{Digest.of(b'v1')}\n",
    ),
    Row(
        "a platform of an index runs",
        entry("[{images: f}]"),
        (image("v1", 900, names=["amd64"]),),
        set(),
        f"docker-pullable://other.example.org/x@{Digest.of(b'amd64')}\n",
    ),
    Row(
        "untagged that runs",
        entry("[{images: f}]", more=", untagged: [{pushed-within: 1h}]"),
        (image(None, 900),),
        set(),
        f"r.example.org/team/app@{Digest.of(b'untagged')}\n",
    ),
    Row(
        "our host",
        entry("[{images: f, hosts: [r.example.org]}]"),
        (image("v1", 900), image("v2", 900)),
        {"v2"},
        "r.example.org/team/app:v1 other.example.org/team/app:v2\n",
    ),
    Row("without a host", entry("[{images: f}]"), (image("v1", 900),), set(), "team/app:v1\n"),
    Row(
        "a signature goes with its image",
        entry("[{tags: [v2]}]"),
        (image("subject", 900), image(f"sha256-{HEX}.sig", 1), image(f"sha256-{HEX}", 1), image("v2", 1)),
        {"subject", f"sha256-{HEX}.sig", f"sha256-{HEX}"},
    ),
    Row(
        "a signature stays with its image",
        entry("[{tags: [subject]}]"),
        (image("subject", 900), image(f"sha256-{HEX}.att", 900)),
        set(),
    ),
    Row(
        "a signature of a manifest that is not here", entry("[{newest: 1}]"), (image(f"sha256-{HEX}.sig", 900),), set()
    ),
    Row(
        "a signature takes no place",
        entry("[{newest: 1}]"),
        (image("subject", 900), image(f"sha256-{HEX}.sig", 1)),
        set(),
    ),
    Row(
        "another tag keeps the manifest that is signed",
        entry("[{tags: [v2]}]"),
        (image("v1", 900, of="subject"), image("v2", 900, of="subject"), image(f"sha256-{HEX}.sig", 9)),
        {"v1"},
    ),
    Row(
        "a signature of a platform",
        entry("[{tags: [v2]}]"),
        (image("v1", 900, names=["subject"]), image("v2", 900, names=["subject"]), image(f"sha256-{HEX}.sig", 9)),
        {"v1"},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=attrgetter("what"))
def test_row(row: Row) -> None:
    assert removed(decide(row.entries, row.images, running=row.running, began=row.began)) == row.removed


def test_any_entry_that_is_about_an_image_keeps_it() -> None:
    text = (
        '  - {name: one, on: {repositories: ["team/**"]}, keep: [{tags: [a]}]}\n'
        '  - {name: two, on: {repositories: ["**"]}, keep: [{tags: [b]}]}\n'
        '  - {name: dry, on: {repositories: ["**"]}, keep: [{tags: [c]}], dry-run: true}\n'
    )
    assert removed(decide(text, [image(tag, 900) for tag in "abcd"])) == {"d"}
    assert removed(decide(text, [image(tag, 900) for tag in "abcd"], repository="x")) == {"a", "d"}


def test_reasons_name_the_line() -> None:
    kept, gone, out, dry = (
        *decide(entry('[{tags: ["v*"]}, {newest: 1}]'), [image("v1", 2), image("x", 3), image("y", 1)])[:2],
        decide(entry("[{newest: 1}]", on="{repositories: [x]}"), [image("v1", 2)])[0],
        decide(entry("[{tags: [x]}]", more=", dry-run: true"), [image("v1", 2)])[0],
    )
    assert [one.reason for one in (kept, gone, out, dry)] == [
        'kept by p.yaml:3 "one": tags v*',
        'removed by p.yaml:3 "one": nothing in it keeps this',
        "no entry of retention is about it",
        'would be removed by p.yaml:3 "one", which has dry-run',
    ]


def test_a_push_in_the_future_stops_it() -> None:
    with pytest.raises(RetentionRefused, match="team/app: a push at 2030-01-02T00:00:00Z is later than now"):
        decide(entry("[{newest: 1}]"), [image("v1", -1)])
    assert decide(entry("[{newest: 1}]", on="{repositories: [x]}"), [image("v1", -1)])[0].outcome is Outcome.KEPT


DENIES = [
    ('to: {everyone: true}, on: {repositories: ["team/**"], tags: ["v*"]}', {"pr"}),
    ('to: {signed-in: true}, on: {repositories: ["team/**"]}', set()),
    ('to: {everyone: true}, on: {repositories: ["{user}/**"]}', set()),
    ('to: {everyone: true}, on: {repositories: ["{claims.x:path}"]}', set()),
    ('to: {everyone: true}, on: {repositories: ["{user}/other"]}', {"v1", "pr"}),
    ('to: {groups: [devs]}, on: {repositories: ["team/**"]}', {"v1", "pr"}),
    ('to: {everyone: true}, on: {repositories: ["**"]}, when: "!(\'release\' in identity.groups)"', set()),
    ('to: {everyone: true}, on: {repositories: ["**"]}, when: "\'devs\' in identity.groups"', {"v1", "pr"}),
    ('to: {everyone: true}, on: {repositories: ["**"]}, when: "request.tls"', set()),
]


@pytest.mark.parametrize(("rule", "gone"), DENIES)
def test_undeletable_tags_stay(rule: str, gone: set[str]) -> None:
    text = f"version: 1\nrules:\n  - {{name: deny, deny: [delete], {rule}}}\n"
    policies = PolicySet(parse_policy(parse_document(text, "d.yaml")).rules)
    decided = decide(entry("[{tags: [x]}]"), [image("v1", 900), image("pr", 900)], policies=policies)
    assert removed(decided) == gone
    assert all("may not be deleted: d.yaml:3" in one.reason for one in decided if one.outcome is Outcome.KEPT)


ITEMS = [
    *("{newest: 1}", "{newest: 2}", "{newest: 1, tags: [v1, v2]}", "{last-pulled: 1}", "{pushed-within: 3d}"),
    *("{pulled-within: 3d}", "{pulled-within: 3d, tags: [latest]}", "{tags: [v1]}", '{tags: ["*"]}', "{images: f}"),
]
SUBJECT = Digest.of(b"b").hex
ages = st.one_of(st.none(), st.integers(0, 8))
images = st.lists(
    st.builds(
        lambda tag, pushed, pulled, of, names: image(tag, pushed, pulled, of=of, names=names),
        st.sampled_from(["v1", "v2", "v3", "latest", "x", "y", f"sha256-{SUBJECT}.sig", f"sha256-{HEX}"]),
        *(ages, ages, st.sampled_from("abcde"), st.lists(st.sampled_from("abxy"), max_size=2)),
    ),
    max_size=8,
    unique_by=lambda one: one.tag,
)
began = st.one_of(st.none(), st.integers(0, 10).map(lambda days: NOW - timedelta(days=days)))
RUNNING = f"team/app:v3 other/x@{Digest.of(b'c')}\n"


def written(items: Sequence[str]) -> str:
    """An entry with an item a line, since lines tell items apart."""
    keep = "".join(f"      - {item}\n" for item in items)
    return f"  - name: one\n    on: {{repositories: ['**']}}\n    keep:\n{keep}"


keeps = st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4)


@given(keeps, st.sampled_from(ITEMS), images, began)
def test_a_further_item_never_removes_more(
    items: list[str], more: str, images: list[Image], began: datetime | None
) -> None:
    before = decide(written(items), images, began=began, running=RUNNING)
    after = decide(written([*items, more]), images, began=began, running=RUNNING)
    assert removed(after) <= removed(before)


@given(keeps, images, began)
def test_without_any_records_no_more_is_removed(items: list[str], images: list[Image], began: datetime | None) -> None:
    before = decide(written(items), images, began=began, running=RUNNING)
    forgotten = [Image(one.digest, one.tag, names=one.names) for one in images]
    after = decide(written(items), forgotten, began=None, running=RUNNING)
    assert removed(after) <= removed(before)
    by_time = [item for item in items if "tags: [v1]" not in item and "images" not in item and "latest" not in item]
    assert not by_time or any("tags" in item for item in by_time) or not removed(after)


@given(keeps, images, st.integers(0, 7), began)
def test_forgetting_the_push_of_one_image_removes_no_other(
    items: list[str], images: list[Image], index: int, began: datetime | None
) -> None:
    if index >= len(images):
        return
    before = decide(written(items), images, began=began, running=RUNNING)
    lost = images[index]
    forgotten = [
        Image(one.digest, one.tag, None, one.pulled, one.names) if one.digest == lost.digest else one for one in images
    ]
    after = decide(written(items), forgotten, began=began, running=RUNNING)
    own = {str(one.tag) for one in images if one.digest == lost.digest or one.subject}
    assert removed(after) - own <= removed(before)


@given(keeps, images, began)
def test_an_image_that_no_entry_is_about_is_never_touched(
    items: list[str], images: list[Image], began: datetime | None
) -> None:
    text = written(items).replace("['**']", "['**'], tags: ['v*']")
    assert all(
        (tag or "").startswith(("v", "sha256-")) for tag in removed(decide(text, images, began=began, running=RUNNING))
    )


def test_a_hundred_thousand_tags_take_seconds() -> None:
    many = [image(f"t{number}", number % 1000 / 10, 1 if number < 9 else None) for number in range(100_000)]
    start = datetime.now(UTC)
    decided = decide(
        entry("[{newest: 10}, {pushed-within: 30d}, {last-pulled: 5}, {images: f}]"), many, running=RUNNING
    )
    assert (datetime.now(UTC) - start).total_seconds() < 30
    assert 60_000 < len(removed(decided)) < 80_000


GOOD: Mapping[str, str] = {
    "with every key": (
        '  - name: one\n    description: why\n    on: {repositories: ["a/**"], except: [a/b], tags: ["v*"]}\n'
        "    keep: [{tags: [a]}, {newest: 3, tags: [b]}, {images: f, hosts: [r.example.org, 'r:5000']}]\n"
        "    dry-run: true\n"
    ),
    "weeks": entry("[{pushed-within: 8w}]"),
    "hours": entry("[{pulled-within: 720h}]"),
}
BAD = [
    ("no keep", "  - {name: one, on: {repositories: [a]}}\n", "p.yaml:3: retention.0.keep: missing"),
    ("empty keep", entry("[]"), "p.yaml:3: retention.0.keep: an empty list"),
    ("empty item", entry("[{}]"), "p.yaml:3: retention.0.keep.0: this keeps nothing; allowed: tags, newest"),
    ("two in an item", entry("[{newest: 1, pushed-within: 3d}]"), "newest and pushed-within in one item"),
    ("unknown key", entry("[{newst: 1}]"), 'p.yaml:3: retention.0.keep.0.newst: unknown key (did you mean "newest"?)'),
    ("unknown key of an entry", entry("[{newest: 1}]", more=", keeps: x"), "retention.0.keeps: unknown key"),
    ("none", entry("[{newest: 0}]"), '"0" is not such a number; allowed: 1 to'),
    ("no number", entry("[{newest: many}]"), "is not a whole number"),
    ("short", entry("[{pushed-within: 30m}]"), '"30m" is too short; allowed: 1h or more'),
    ("negative", entry("[{pushed-within: -30h}]"), "is too short"),
    ("no age", entry("[{pushed-within: 3 months}]"), "is not an age; allowed: days, weeks or hours"),
    ("long", entry("[{pushed-within: 99999999d}]"), "is not an age"),
    ("a placeholder", entry("[{newest: 1}]", on='{repositories: ["{user}/**"]}'), "retention has no caller"),
    ("a tag glob", entry('[{tags: ["a/b"]}]'), 'no tag can be "a/b"'),
    ("tags of images", entry("[{images: f, tags: [a]}]"), "allowed: images without tags"),
    ("hosts alone", entry("[{newest: 1, hosts: [a]}]"), "allowed: hosts beside images"),
    ("no host", entry('[{images: f, hosts: ["https://a"]}]'), '"https://a" is not a host'),
    ("dry-run: false", entry("[{newest: 1}]", more=", dry-run: false"), "this can only be true"),
    ("tags of untagged", entry("[{newest: 1}]", more=", untagged: [{tags: [a]}]"), "tags in untagged"),
    (
        "untagged and tags",
        entry("[{newest: 1}]", on="{repositories: [a], tags: [b]}", more=", untagged: [{newest: 1}]"),
        "on.tags and untagged exclude each other",
    ),
    ("no repositories", entry("[{newest: 1}]", on="{tags: [a]}"), "retention.0.on.repositories: missing"),
]


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_good_entries_load(text: str) -> None:
    assert rules(text)[0].name == "one"


@pytest.mark.parametrize(("text", "why"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_wrong_entries_are_refused_with_their_line(text: str, why: str) -> None:
    with pytest.raises(Exception, match=r"p\.yaml:3: ") as caught:
        rules(text)
    assert why in str(caught.value)


def test_a_file_of_running_images_is_below_the_folder_of_the_policy() -> None:
    found = parse_policy(parse_document(f"version: 1\nretention:\n{entry('[{images: f}, {images: /g}]')}", "a/p.yaml"))
    assert found.retention[0].files == {Path("a/f"), Path("/g")}
