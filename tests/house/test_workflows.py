"""The workflows of GitHub and GitLab call make, pin what they use, and mean the same on both. No runner is here: what
holds them is their schemas and zizmor's audits."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.binaries import ROOT
from tests.support.program import Outcome, environment, run

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
GITLAB = ROOT / ".gitlab-ci.yml"

# How another workflow calls this repository's own, of the same commit.
CI_WORKFLOW = "$/.github/workflows/ci.yml"

# Beside `make TARGET`: what a fresh Debian lacks, the whole run, and GitHub's own release.
APT = {
    "apt-get -qq update",
    "apt-get -qq install --yes --no-install-recommends ca-certificates git make python3-venv",
}
# A job on GitLab has its tokens in all its lines: this one installs, and goes without them.
TOOLS = "env -u PYPI_ID_TOKEN -u PUBLISH_PASSWORD -u CI_REGISTRY_PASSWORD -u CI_JOB_TOKEN make tools"
ALLOWED = APT | {TOOLS, "bash .ci/run", 'gh release create "$GITHUB_REF_NAME" --verify-tag --generate-notes dist/*'}

USES = re.compile(r"^\s*(?:- )?uses: (\S+)(.*)$", re.MULTILINE)
IMAGE = re.compile(r"^\s*image: (\S+)", re.MULTILINE)
PIN = re.compile(r"(?:[\w.-]+/)+[\w.-]+@[0-9a-f]{40}")
VERSION = re.compile(r" # v\d+\.\d+\.\d+")


def tool(name: str, *arguments: str, home: Path) -> Outcome:
    """A program of this environment."""
    return run(str(Path(sys.executable).parent / name), *arguments, env=environment(home), cwd=ROOT)


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def jobs(file: Path) -> dict[str, Any]:
    """The jobs of a workflow: in GitLab's file they are beside the settings."""
    content = load(file)
    settings = {"default", "stages", "workflow"}
    return content["jobs"] if file != GITLAB else {k: v for k, v in content.items() if k not in settings}


def lines(file: Path) -> list[str]:
    """What the shell gets."""
    if file == GITLAB:
        scripts = [load(file)["default"]["before_script"], *(job.get("script", []) for job in jobs(file).values())]
        return [line for script in scripts for line in script]
    steps = [step for job in jobs(file).values() for step in job.get("steps", [])]
    return [line for step in steps if "run" in step for line in step["run"].splitlines()]


def made(file: Path) -> set[str]:
    return {line.removeprefix("make ") for line in lines(file) if line.startswith("make ")}


def test_zizmor_finds_nothing(tmp_path: Path) -> None:
    found = tool(
        "zizmor", "--offline", "--persona=pedantic", "--strict-collection", "--no-progress", ".", home=tmp_path
    )
    assert found.code == 0, str(found)
    assert "No findings" in found.text
    assert all(file.name in found.text for file in (*WORKFLOWS, Path("dependabot.yml")))


def test_zizmor_would_find_a_hole(tmp_path: Path) -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    (tmp_path / "ci.yml").write_text(text.replace("run: make check", "run: echo ${{ github.head_ref }}"))
    found = tool("zizmor", "--offline", "--no-progress", str(tmp_path / "ci.yml"), home=tmp_path)
    assert found.code != 0
    assert "template-injection" in found.text


@pytest.mark.parametrize(
    ("schema", "file", "options"),
    [
        *(("vendor.github-workflows", file, ()) for file in WORKFLOWS),
        ("vendor.dependabot", ROOT / ".github/dependabot.yml", ()),
        ("vendor.gitlab-ci", GITLAB, ("--data-transform", "gitlab-ci")),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_a_file_is_as_its_service_reads_it(schema: str, file: Path, options: tuple[str, ...], tmp_path: Path) -> None:
    checked = tool("check-jsonschema", "--builtin-schema", schema, *options, str(file), home=tmp_path)
    assert checked.code == 0, str(checked)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_pinned_with_its_version_beside_it(file: Path) -> None:
    used = [found for found in USES.findall(file.read_text()) if found[0] != CI_WORKFLOW]
    assert used
    assert [pin for pin, comment in used if not PIN.fullmatch(pin) or not VERSION.fullmatch(comment)] == []


def test_one_action_and_one_image_have_one_version_everywhere() -> None:
    pins = {pin for file in WORKFLOWS for pin, _ in USES.findall(file.read_text())}
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})
    images = {image for file in (*WORKFLOWS, GITLAB) for image in IMAGE.findall(file.read_text())}
    assert [image for image in images if not re.fullmatch(r"debian:bookworm@sha256:[0-9a-f]{64}", image)] == []
    assert len(images) == 1


@pytest.mark.parametrize("file", [*WORKFLOWS, GITLAB], ids=lambda file: file.name)
def test_every_line_of_the_shell_is_a_target_of_make_or_one_of_a_few(file: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert lines(file)
    assert [line for line in lines(file) if line not in ALLOWED and not line.startswith("make ")] == []
    assert made(file) <= targets


def test_no_expression_is_in_a_line_of_the_shell() -> None:
    assert [line for file in WORKFLOWS for line in lines(file) if "${{" in line] == []


def test_both_services_make_the_same() -> None:
    ours = set().union(*map(made, WORKFLOWS))
    # PyPI is an action on GitHub, and the pages of all versions are a branch that GitLab does not serve.
    assert ours - {"docs-version", "docs-publish", "tools"} | {"publish-pypi"} == made(GITLAB)
    assert "bash .ci/run" in lines(GITLAB)


def test_rights_are_given_to_jobs_and_secrets_to_three_of_them() -> None:
    for file in WORKFLOWS:
        assert load(file)["permissions"] == {}
        assert all("permissions" in job for job in jobs(file).values())
        assert all("timeout-minutes" in job or "uses" in job for job in jobs(file).values())
    with_secrets = {
        (file.name, name) for file in WORKFLOWS for name, job in jobs(file).items() if "secrets." in str(job)
    }
    assert with_secrets == {("release.yml", name) for name in ("registry", "github", "pages")}


def test_only_what_publishes_writes_and_only_after_it_was_attested() -> None:
    release = jobs(ROOT / ".github/workflows/release.yml")
    writing = {name for name, job in release.items() if "write" in set(job["permissions"].values())}
    assert writing == {"attest", "pypi", "registry", "github", "pages"}
    assert release["build"]["permissions"] == {"contents": "read"}
    assert release["attest"]["needs"] == ["test", "build"]
    assert {release[name]["needs"] for name in ("pypi", "registry")} == {"attest"}
    assert [release[name]["needs"] for name in ("github", "pages")] == [["pypi", "registry"]] * 2
    assert {name for name, job in release.items() if "environment" in job} == {"pypi", "registry", "pages"}
    ci = jobs(ROOT / ".github/workflows/ci.yml")
    assert {str(job["permissions"]) for job in ci.values()} == {"{'contents': 'read'}"}


def test_a_tag_is_published_only_after_every_test() -> None:
    release = jobs(ROOT / ".github/workflows/release.yml")
    assert release["test"]["uses"] == CI_WORKFLOW
    ci = load(ROOT / ".github/workflows/ci.yml")
    assert "workflow_call" in ci[True]  # YAML 1.1 reads `on` as true
    gitlab = jobs(GITLAB)
    # Without `needs` it waits for the whole stage before.
    assert (gitlab["release"]["stage"], "needs" in gitlab["release"]) == ("build", False)
    assert [gitlab[name]["stage"] for name in ("check", "docs", "test")] == ["test"] * 3
    assert [gitlab[name]["needs"] for name in ("pypi", "registry")] == [["release"]] * 2


def test_nothing_is_installed_or_built_by_a_step_with_a_token() -> None:
    release = jobs(ROOT / ".github/workflows/release.yml")
    for name, before in (("registry", "make tools"), ("pages", "make docs-version")):
        steps = [step for step in release[name]["steps"] if "run" in step]
        assert steps[0]["run"] == before
        assert ["secrets." in str(step) for step in steps] == [False, True]
    for name in ("pypi", "registry"):
        assert jobs(GITLAB)[name]["script"][0] == TOOLS


def test_code_of_a_fork_does_not_reach_the_privileged_runner() -> None:
    assert [name for name, job in jobs(GITLAB).items() if "tags" in job] == ["test"]
    assert [rule["if"] for rule in jobs(GITLAB)["test"]["rules"]] == [
        '$CI_PIPELINE_SOURCE != "merge_request_event"',
        "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID",
    ]


def test_the_tag_has_to_be_the_version() -> None:
    step = next(step for step in jobs(ROOT / ".github/workflows/release.yml")["build"]["steps"] if "run" in step
                and step["run"] == "make release")  # fmt: skip
    assert step["env"]["RELEASE_TAG"] == "${{ github.ref_name }}"
    assert jobs(GITLAB)["release"]["variables"]["RELEASE_TAG"] == "$CI_COMMIT_TAG"


def test_the_matrix_has_every_python_that_the_package_admits() -> None:
    check = jobs(ROOT / ".github/workflows/ci.yml")["check"]
    assert check["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
