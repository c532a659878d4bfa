import datetime as dt
import json

import pytest

from authproxy.images.details import read_details
from authproxy.images.endpoints import Missing
from tests.support.registry import image, index, push_blob, push_manifest
from tests.unit.images.registry import core, to_push

AMD = json.dumps({
    "os": "linux", "architecture": "amd64", "created": "2024-05-06T07:08:09.123456789Z", "config": {"Cmd": ["run"]}
}).encode()  # fmt: skip
ARM = json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8", "created": "2025-01-01T00:00:00Z"}).encode()
LAYER = b"layer"


async def test_image_of_several_platforms_is_told_with_all_of_them() -> None:
    async with core() as (registry, http):
        for content in (AMD, ARM, LAYER):
            await push_blob(http, "a", content)
        children = [image(AMD, [LAYER]), image(ARM, [LAYER])]
        for child in children:
            await push_manifest(http, "a", f"v{len(child)}", child)
        entries = index(children)
        await push_manifest(http, "a", "all", entries, "application/vnd.oci.image.index.v1+json")
        details = await read_details(to_push(registry, "a"), "all")
    assert details.platforms == ("linux/amd64", "linux/arm64/v8")
    assert details.size == len(AMD) + len(ARM) + len(LAYER)
    assert details.created == dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    assert [variant.config for variant in details.variants] == [{"Cmd": ["run"]}, {}]


@pytest.mark.parametrize(
    "config",
    [b"", b"no JSON", b"[]", b'{"created": 1}', b'{"created": "0001-01-01T00:00:00Z"}', b'{"created": "soon"}',
     b'{"created": "2024-01-01T00:00:00"}', b'{"config": [1], "os": 1}'],
)  # fmt: skip
async def test_whatever_a_configuration_says_is_told_or_left_out(config: bytes) -> None:
    async with core() as (registry, http):
        await push_blob(http, "a", config)
        await push_manifest(http, "a", "v1", image(config))
        details = await read_details(to_push(registry, "a"), "v1")
    assert (details.created, details.platforms, details.variants[0].config) == (None, (), {})


async def test_date_of_an_artifact_is_its_annotation() -> None:
    content = image(b"{}", annotations={"org.opencontainers.image.created": "2024-02-03T00:00:00Z"})
    async with core() as (registry, http):
        await push_blob(http, "a", b"{}")
        await push_manifest(http, "a", "v1", content)
        details = await read_details(to_push(registry, "a"), "v1")
    assert details.created == dt.datetime(2024, 2, 3, tzinfo=dt.UTC)


async def test_attestations_are_no_platform() -> None:
    unknown = json.dumps({"os": "unknown", "architecture": "unknown"}).encode()
    async with core() as (registry, http):
        await push_blob(http, "a", unknown)
        await push_manifest(http, "a", "v1", image(unknown))
        assert (await read_details(to_push(registry, "a"), "v1")).platforms == ()


async def test_missing_image_is_missing() -> None:
    async with core() as (registry, _):
        with pytest.raises(Missing):
            await read_details(to_push(registry, "a"), "v1")
