"""The OpenAPI document against a running server, over TLS."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.web.openapi import published
from tests.support.openapi import CASES, PATHS, check_case, check_undeclared_methods, make_home
from tests.support.server import running_server


@asynccontextmanager
async def client_of_server(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings: Mapping[str, str] = {
        "REGISTRY_HTTP_TRUSTEDPROXIES": "[127.0.0.1]",
        "REGISTRY_HTTP_MAINTENANCE_FILE": str(folder / "maintenance"),
    }
    with running_server(folder, settings) as server:
        trust = ssl.create_default_context(cafile=str(server.ca))
        async with httpx.AsyncClient(base_url=server.url, verify=trust, trust_env=False, timeout=60) as client:
            yield client


@pytest.mark.parametrize("in_maintenance", [False, True])
async def test_every_declared_response_is_served(tmp_path: Path, *, in_maintenance: bool) -> None:
    document: dict[str, Any] = json.loads(published())
    make_home(tmp_path)
    if in_maintenance:
        (tmp_path / "maintenance").touch()
    async with client_of_server(tmp_path) as client:
        for case in (case for case in CASES if case.in_maintenance == in_maintenance):
            await check_case(client, document, case)
        if not in_maintenance:
            for path in PATHS:
                await check_undeclared_methods(client, document, path)
