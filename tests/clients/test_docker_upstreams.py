"""docker, through a front door that keeps some repositories in another registry, under another name."""

import json
from pathlib import Path
from uuid import uuid4

import httpx

from tests.support.daemon import GREETING, Daemon
from tests.support.peers import running_docker_registry
from tests.support.people import ALICE
from tests.support.server import running_server


def test_image_lies_behind_under_another_name_and_comes_back(daemon: Daemon, tmp_path: Path) -> None:
    alice = daemon.docker(uuid4().hex)
    with running_docker_registry(tmp_path / "hub") as hub:
        upstreams = [
            {"match": "alice/hub/**", "url": hub, "rename": {"strip": "alice/hub/", "add": "library/"}},
            {"match": "**", "backend": "core"},
        ]
        settings = {"REGISTRY_UPSTREAMS": json.dumps(upstreams)}
        with running_server(tmp_path / "server", settings) as server:
            server.add_user(ALICE.name, ALICE.password)
            assert alice.login(server.host, ALICE.name, ALICE.password).code == 0
            image, copy, own = (f"{server.host}/alice/{name}:v1" for name in ("hub/app", "hub/copy", "own"))
            alice.make_image(image, mark=image)
            alice.must("push", image)
            for other in (copy, own):
                alice.must("tag", image, other)
            assert "Mounted from alice/hub/app" in alice.must("push", copy)
            assert "Mounted" not in alice.must("push", own)
            behind = httpx.get(f"{hub}/v2/_catalog", trust_env=False).json()
            assert behind == {"repositories": ["library/app", "library/copy"]}
            alice.must("rmi", image, copy, own)
            for name in (image, copy, own):
                alice.must("pull", name)
                assert alice.must("run", "--rm", "--network", "none", name).strip() == GREETING
