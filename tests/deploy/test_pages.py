"""The pages about deployment say what is so: each command was run by a test here, or is one that no test can run."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.deploy import cncf, composition, pages
from tests.support.binaries import ROOT

HERE = Path(__file__).parent
# Not run-with-systemd: test_systemd.py types that page from its first line to its last.
PAGES = (
    *("run-in-docker", "run-with-compose", "run-in-a-swarm", "run-on-kubernetes"),
    *("from-nginx", "from-registry-2", "from-docker-auth"),
    *("behind-a-proxy", "on-a-nas", "from-ci-and-gitops", "back-up-and-restore", "free-space"),
)

# Commands by their beginnings that no test types as they stand, and what is done instead.
OTHERWISE = {
    "cd": "the test types in that folder",
    "mkdir": "the test makes its files by itself",
    "cp": "the test makes its files by itself",
    "chown": "the test makes its files by itself",
    "authproxy serve config.yml": "`running_server` does",
    "kubectl": "there is no cluster here: test_kubernetes.py builds the kustomization and runs its pod by docker",
    "docker run --rm -it": "test_swarm.py types the same line",
    "cat auth_config.yml": "test_from_docker_auth.py reads what it shows from the page",
    "make image": "the fixture `built` loads the image as it does",
    "docker pull registry.example.com": "there is no such registry here: the test has the image",
    "docker tag registry.example.com": "there is no such registry here: the test has the image",
    "docker login registry.example.com": "the test logs in at localhost",
    "docker service update --image registry.example.com": "the test updates to the image that it has",
    "docker login nas.lan": "the test does it with localhost",
    "docker tag busybox nas.lan": "the test does it with localhost",
    "docker push nas.lan": "the test does it with localhost",
    "zfs": "there is no ZFS here",
    "velero": "there is no cluster here",
    "sudo": "there is no Synology here: the test makes a folder of that owner",
    "tailscale": "there is no tailnet here",
    "rm cluster.json": "the test's folder goes with it",
    "helm": "the tests call Helm's SDK",
    "docker run -d": "test_image.py runs CNCF Distribution's own lines, and compares the page's with them",
    "docker service create": "test_swarm.py runs CNCF Distribution's own line, and compares the page's with it",
}
# Functions of the tests that take a page's command by its beginning.
TYPING = {"typed", "command", "type", "type_in"}
OF_A_MODULE = re.compile(r'^PAGE = "(.*)"$', re.MULTILINE)


def beginnings() -> Iterator[tuple[str, str]]:
    """What the tests type, by the beginnings of commands that stand in their source: page and beginning."""
    for file in HERE.glob("test_*.py"):
        source = file.read_text()
        page = OF_A_MODULE.search(source)
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TYPING:
                first, *rest = [*_texts(node.args), ""]
                yield (first, rest[0]) if first in PAGES else (page[1] if page else composition.PAGE, first)


def _texts(arguments: Iterable[ast.expr]) -> Iterator[str]:
    """The literals, and the literals that formatted ones begin with."""
    for argument in arguments:
        first = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


@pytest.mark.parametrize("page", PAGES)
def test_every_command_was_run_or_has_a_reason(page: str) -> None:
    known = (*(start for where, start in beginnings() if where == page and start), *OTHERWISE)
    assert pages.commands(page), "the page has commands"
    assert [line for line in pages.commands(page) if not line.startswith(known)] == []


def test_every_reason_is_needed() -> None:
    every = [line for page in PAGES for line in pages.commands(page)]
    assert [start for start in OTHERWISE if not any(line.startswith(start) for line in every)] == []


@pytest.mark.parametrize("file", sorted((ROOT / "deploy").rglob("*")), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_of_deploy_is_listed(file: Path) -> None:
    if file.is_file() and not {"certs", "data"} & set(file.parts) and file.name != "README.md":
        name = str(file.relative_to(ROOT / "deploy"))
        name = "chart/" if name.startswith("chart/") else name  # its files are where Helm wants them
        assert f"`{name}`" in (ROOT / "deploy/README.md").read_text(), "deploy/README.md lists all files"


def test_users_are_made_by_one_line_everywhere() -> None:
    lines = {pages.command(page, "docker run --rm -it") for page in ("run-in-a-swarm", "run-on-kubernetes")}
    assert len(lines) == 1


def test_blocks_are_read_as_a_shell_would_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text(
        "```\ncd deploy\ndocker a \\\n  b   # a comment\n\n# another\ndocker c && docker d\n```\n"
        "1. An entry\n\n   ```\n   $ authproxy e\n   docker is an answer here\n   ```\n"
        "```yaml\ndocker: no command\n```\n```text\nan answer\n```\n"
    )
    monkeypatch.setattr(pages, "HOW_TO", tmp_path)
    assert [line.split() for line in pages.commands("page")] == [
        ["cd", "deploy"],
        ["docker", "a", "b"],
        ["docker", "c"],
        ["docker", "d"],
        ["authproxy", "e"],
    ]


def test_a_line_of_cncf_is_typed_with_another_name(tmp_path: Path) -> None:
    assert cncf.words(cncf.DATA_FOLDER, "ours", tmp_path)[-3:] == [
        "-v",
        f"{tmp_path}/registry:/var/lib/registry",
        "ours",
    ]
