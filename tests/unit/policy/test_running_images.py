"""Files with running images: what they name, and those from which nothing may be concluded."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.policy.running_images import (
    MAX_AGE,
    RunningImages,
    RunningImagesUnusable,
    parse_running_images,
    read_running_images,
)
from authproxy.reference import Tag

D1, D2 = Digest.of(b"1"), Digest.of(b"2")
PODS = {
    "kind": "List",
    "items": [
        {
            "spec": {
                "containers": [{"name": "a", "image": "r.example.org:5000/team/app:v1"}],
                "initContainers": [{"image": "r.example.org:5000/team/init"}, {"image": "Not an image"}],
                "ephemeralContainers": [{"image": f"r.example.org:5000/team/debug:v2@{D2}"}],
            },
            "status": {
                "containerStatuses": [
                    {"image": "r.example.org:5000/team/app:v1", "imageID": f"docker-pullable://other/app@{D1}"},
                    {"image": "x/y:z", "imageID": ""},
                ]
            },
        },
        {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"image": "r.example.org:5000/cron:1"}}}}},
    ],
}


def has(found: RunningImages, name: str, *hosts: str) -> bool:
    repository, _, tag = name.partition(":")
    return found.include(repository, Tag(tag), (), frozenset(hosts))


def test_all_images_of_a_cluster_count() -> None:
    found = parse_running_images(json.dumps(PODS))
    assert all(has(found, name) for name in ("team/app:v1", "team/init:latest", "team/debug:v2", "cron:1", "x/y:z"))
    assert found.digests == {D1, D2}
    assert has(found, "team/app:v1", "r.example.org:5000")
    assert not has(found, "team/app:v1", "r.example.org")
    assert not has(found, "team/app:v2")
    assert not has(found, "x/y:z", "r.example.org:5000")


@pytest.mark.parametrize(
    "text",
    [
        "r.example.org/team/app:v1\nnginx\n",
        "r.example.org/team/app:v1 nginx\r\n",
        "r.example.org/team/app:v1,nginx\n",
        '["r.example.org/team/app:v1", "nginx"]',
        '  {"image": "r.example.org/team/app:v1", "more": [{"Image": "nginx"}]}',
    ],
)
def test_forms(text: str) -> None:
    found = parse_running_images(text)
    assert has(found, "team/app:v1", "r.example.org")
    assert has(found, "nginx:latest")
    assert has(found, "library/nginx:latest")
    assert found.has_host(["r.example.org"])
    assert not found.has_host(["r.example.com"])


def test_a_digest_alone_counts() -> None:
    assert parse_running_images(f"{D1}\n").include("any/where", None, (D1,), {"r.example.org"})


UNUSABLE = [
    ("empty", "", "names no image"),
    ("blank", " \n\n", "names no image"),
    ("no items", '{"items": []}', "names no image"),
    ("cut JSON", json.dumps(PODS)[:-2], "is not whole JSON"),
    ("deep JSON", "[" * 100_000, "is not whole JSON"),
    ("cut text", "r.example.org/team/app:v1", "does not end with a line end"),
    ("an error", "ok:1\nerror: You must be logged in\n", "line 2: 'error:' is not the name of an image"),
    ("a heading", "IMAGE\nr.example.org/team/app:v1\n", "line 1: 'IMAGE' is not the name of an image"),
    ("control characters", "a\x1b[31mb\n", r"line 1: 'a\\x1b\[31mb' is not the name"),
]


@pytest.mark.parametrize(("text", "why"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
def test_from_this_nothing_is_concluded(text: str, why: str) -> None:
    with pytest.raises(RunningImagesUnusable, match=why):
        parse_running_images(text)


@given(
    st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1")), st.from_regex(r"[a-z:@/\n\[\]{}\"]*"))
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_running_images(text)
    except RunningImagesUnusable:
        return
    assert found.tags or found.digests


def test_the_age_of_the_file(tmp_path: Path) -> None:
    path, now = tmp_path / "running", datetime(2030, 1, 1, tzinfo=UTC)
    path.write_text("a:1\n", encoding="utf-8")
    for age, why in (
        (timedelta(hours=23), None),
        (MAX_AGE + timedelta(seconds=1), "more than a day ago; write it again"),
        (-timedelta(hours=1), "later than now; correct the clocks"),
    ):
        time = (now - age).timestamp()
        os.utime(path, (time, time))
        if why is None:
            assert read_running_images(path, now=now).tags
        else:
            with pytest.raises(RunningImagesUnusable, match=why):
                read_running_images(path, now=now)


def test_other_files(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path, why in (
        (tmp_path / "gone", "gone: cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "pipe", "is not a file"),
        (Path("/dev/zero"), "is not a file"),
        (tmp_path / "binary", "is not UTF-8"),
    ):
        with pytest.raises(RunningImagesUnusable, match=why):
            read_running_images(path, now=now)
