"""The image that the tables about manifests are about, in the repository team/app."""

from httpx import AsyncClient

from authproxy.oci import media_types
from tests.support.registry import image, push_blob, push_manifest, sha256, sha512

CONFIG, LAYER = b"{}", b"a layer"
IMAGE = image(CONFIG, [LAYER])
DIGEST, LONG = sha256(IMAGE), sha512(IMAGE)
MANIFESTS = "/v2/team/app/manifests/"
OCI = {"Content-Type": media_types.OCI_IMAGE}
NO_DIGEST: dict[str, str | None] = {"Docker-Content-Digest": None, "ETag": None}


async def push_app(registry: AsyncClient) -> None:
    """Push it, as team/app:v1, and a blob that it does not name."""
    for content in (CONFIG, LAYER, b"a blob"):
        await push_blob(registry, "team/app", content)
    await push_manifest(registry, "team/app", "v1", IMAGE)
