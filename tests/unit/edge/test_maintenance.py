"""A file by which everybody is turned away: the whole application, content in memory."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from authproxy.edge.maintenance import MAX_MESSAGE_CHARACTERS, MaintenanceFile
from authproxy.errors import StartError
from tests.support.application import serving


def values(file: Path, **http: Any) -> dict[str, Any]:
    section = {"file": str(file), "message": "back at noon", "retryafter": "90s"}
    return {"version": "0.1", "storage": "inmemory", "auth": "none", "http": {"maintenance": section} | http}


@pytest.mark.parametrize(("text", "told"), [("", "back at noon"), (" \n", "back at noon"), ("disks\n", "disks")])
async def test_while_the_file_is_there_everybody_is_turned_away(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "maintenance"
    file.write_text(text)
    async with serving(values(file)) as client:
        for method, path in (("GET", "/v2/"), ("PUT", "/v2/a/manifests/1"), ("GET", "/token"), ("GET", "/v2")):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "90")
            assert answer.json() == {"errors": [{"code": "UNAVAILABLE", "message": told}]}
        assert (await client.head("/v2/")).status_code == 503


async def test_without_the_file_everybody_is_served(tmp_path: Path) -> None:
    async with serving(values(tmp_path / "maintenance")) as client:
        assert (await client.get("/v2/")).status_code == 200


async def test_the_file_is_looked_at_while_it_serves(tmp_path: Path) -> None:
    file = tmp_path / "maintenance"
    async with serving(values(file)) as client, asyncio.timeout(20):
        for change, status in ((file.touch, 503), (file.unlink, 200)):
            change()
            while (await client.get("/v2/")).status_code != status:  # noqa: ASYNC110 - a thread looks meanwhile
                await asyncio.sleep(0.05)


async def test_a_preflight_is_answered_during_maintenance(tmp_path: Path) -> None:
    file = tmp_path / "maintenance"
    file.touch()
    page = {"Origin": "https://ui.example", "Access-Control-Request-Method": "GET"}
    async with serving(values(file, cors={"origins": ["https://ui.example"]})) as client:
        assert (await client.options("/v2/", headers=page)).status_code == 204
        answer = await client.get("/v2/", headers=page)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (503, "https://ui.example")


def test_a_file_that_cannot_be_read_is_there_all_the_same(tmp_path: Path) -> None:
    assert MaintenanceFile(tmp_path, message="wait", retry_after_s=1).reason == "wait"
    assert MaintenanceFile(tmp_path / "a" / "b", message="wait", retry_after_s=1).reason is None


def test_a_path_that_cannot_be_looked_at_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(StartError, match=r"http\.maintenance\.file: cannot tell whether .*/circle exists"):
        MaintenanceFile(tmp_path / "circle", message="wait", retry_after_s=1)


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff" * 5000)
    reason = MaintenanceFile(tmp_path / "file", message="wait", retry_after_s=1).reason
    assert reason is not None
    assert len(reason) == MAX_MESSAGE_CHARACTERS
