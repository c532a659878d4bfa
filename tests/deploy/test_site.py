"""The site in a browser, and published in versions."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import authproxy
from tests.support import site
from tests.support.binaries import binary
from tests.support.chromium import Tab, running_chromium
from tests.support.program import environment, run, succeed

MINOR = authproxy.__version__.rpartition(".")[0]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site") / "site"
    site.build(folder)
    with site.served(folder) as served:
        yield served


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with running_chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "page", ["/", "/how-to/switch-from-distribution/", "/reference/configuration/", "/files/deploy/"]
)
def test_a_browser_asks_no_other_host(tab: Tab, url: str, page: str, scheme: str) -> None:
    tab.requests.clear()
    tab.open(url + page, scheme=scheme)
    assert {urlsplit(request).netloc for request in tab.requests if not request.startswith("data:")} == {
        urlsplit(url).netloc
    }
    assert tab.errors == []
    colours = "getComputedStyle(document.body).getPropertyValue('--md-default-bg-color')"
    assert tab.value_of("document.body.dataset.mdColorScheme") == {"light": "default", "dark": "slate"}[scheme], colours


def test_the_search_finds_a_key_by_its_last_part(tab: Tab, url: str) -> None:
    tab.open(url + "/")
    tab.requests.clear()
    field = "document.querySelector('[data-md-component=search-query]')"
    tab.value_of(f"{field}.focus()")
    tab.value_of(f"{field}.value = 'trustedproxies'; {field}.dispatchEvent(new Event('keyup'))")
    tab.wait_for("[...document.querySelectorAll('.md-search-result__link')].some(a => a.href.includes('/reference/'))")
    assert {urlsplit(request).netloc for request in tab.requests} <= {urlsplit(url).netloc, ""}
    assert tab.errors == []


@pytest.mark.parametrize("page", ["/", "/how-to/run-in-docker/", "/reference/cli/"])
def test_a_page_fits_a_phone(tab: Tab, url: str, page: str) -> None:
    tab.open(url + page, width=400, height=800)
    assert tab.value_of("document.documentElement.scrollWidth") <= 400


MISTAKES = {
    "a dead link": ("docs/index.md", "[a](how-to/no-such-page.md)\n", "no-such-page.md"),
    "a dead anchor": ("docs/index.md", "[a](how-to/upgrade.md#no-such-anchor)\n", "no-such-anchor"),
    "a dead link to a file outside": ("docs/how-to/upgrade.md", "[a](../../deploy/no-such-file)\n", "no-such-file"),
    "a dead link of such a file": ("deploy/README.md", "[a](no-such-file)\n", "no-such-file"),
    "a page without a place": ("docs/how-to/forgotten.md", "# Forgotten\n", "how-to/forgotten.md"),
}


def test_the_build_names_every_mistake(tmp_path: Path) -> None:
    site.copy_sources(tmp_path / "tree")
    for file, text, _ in MISTAKES.values():
        with (tmp_path / "tree" / file).open("a") as page:
            page.write(f"\n{text}")
    done = site.try_to_build(tmp_path / "site", root=tmp_path / "tree")
    assert done.code != 0
    assert [what for what, (_, _, named) in MISTAKES.items() if named not in done.text] == []


def test_make_publishes_a_version_beside_the_others(tmp_path: Path) -> None:
    tree, remote = tmp_path / "tree", tmp_path / "remote.git"
    site.copy_sources(tree)
    person = {
        f"GIT_{role}_{what}": "tests@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = environment(tmp_path, **person)

    def git(*arguments: str) -> str:
        return succeed(binary("git"), *arguments, env=env, cwd=tree).out

    git("init", "--quiet", "--bare", str(remote))
    git("init", "--quiet", "--initial-branch", "main")
    git("remote", "add", "elsewhere", str(remote))
    git("add", ".")
    git("commit", "--quiet", "--message", "a release")
    # The environment of the tests in place of one that make would install.
    installed = Path(sys.executable).parents[1]
    old = ("--old-file", f"{installed}/.release", "--old-file", "docs")
    options = (f"VENV={installed}", *old, "SITE_REMOTE=elsewhere")

    def publish() -> None:
        done = run(binary("make"), *options, "docs-version", "docs-publish", env=env, cwd=tree)
        assert done.code == 0, str(done)
        git("fetch", "--quiet", "elsewhere", "gh-pages")

    publish()
    assert json.loads(git("show", "FETCH_HEAD:versions.json")) == [
        {"version": MINOR, "title": MINOR, "aliases": ["latest"]}
    ]
    files = git("ls-tree", "-r", "--name-only", "FETCH_HEAD").splitlines()
    assert {"index.html", f"{MINOR}/reference/cli/index.html", "latest/reference/cli/index.html"} <= set(files)
    assert "latest/" in git("show", "FETCH_HEAD:index.html")

    # A patch release of an older minor version.
    latest = git("rev-parse", "FETCH_HEAD:latest")
    (tree / "authproxy/__init__.py").write_text('__version__ = "0.1.9"\n')
    publish()
    assert json.loads(git("show", "FETCH_HEAD:versions.json")) == [
        {"version": MINOR, "title": MINOR, "aliases": ["latest"]},
        {"version": "0.1", "title": "0.1", "aliases": []},
    ]
    assert git("rev-parse", "FETCH_HEAD:latest") == latest
