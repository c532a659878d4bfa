"""The pages as a site: it builds strictly, no link of it is dead, and a page loads nothing from another host."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from release import site as hooks
from tests.support import site
from tests.support.binaries import ROOT

# What a browser loads without a click, by element and attribute; of links only these.
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("audio", "src")}
LOADED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}
ELSEWHERE = re.compile(r"(?i)^(?:[a-z][a-z0-9+.-]*:)?//")
OF_A_STYLE = re.compile(r"""(?i)(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')]+)""")


class Reader(HTMLParser):
    """What a page loads, where its links lead, and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        self.anchors |= {of[name] for name in ("id", "name") if name in of}
        self.loads += [value for name, value in of.items() if (tag, name) in LOADED]
        if tag == "link" and LOADED_LINKS & set(of.get("rel", "").lower().split()):
            self.loads.append(of.get("href", ""))
        if tag == "a" and "href" in of:
            self.links.append(of["href"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    site.build(folder)
    return folder


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[Path, Reader]:
    return {page: Reader(page.read_text(encoding="utf-8")) for page in built.rglob("*.html")}


def test_a_page_loads_nothing_from_another_host(built: Path, pages: dict[Path, Reader]) -> None:
    loaded = [(page, url) for page, read in pages.items() for url in read.loads if ELSEWHERE.match(url)]
    styles = [
        (file, url) for file in (*built.rglob("*.css"), *pages) for url in OF_A_STYLE.findall(file.read_text("utf-8"))
    ]
    assert loaded + styles == []


def test_no_link_of_the_site_is_dead(built: Path, pages: dict[Path, Reader]) -> None:
    assert len(pages) > 30
    assert [dead for page, read in pages.items() for dead in dead_links(built, page, read, pages)] == []


def dead_links(built: Path, page: Path, read: Reader, pages: dict[Path, Reader]) -> Iterator[str]:
    if page == built / "404.html":  # its links begin with the site's own root
        return
    for link in read.links:
        path, anchor = urldefrag(link)
        if urlsplit(link).scheme:
            continue
        target = (page.parent / unquote(path)).resolve() if path else page
        target = target / "index.html" if target.is_dir() else target
        if not target.is_relative_to(built.resolve()) or not target.is_file():
            yield f"{page.relative_to(built)}: {link}"
        elif anchor and target in pages and unquote(anchor) not in pages[target].anchors | {"__top"}:
            yield f"{page.relative_to(built)}: {link}: no such anchor"


PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
# What Python-Markdown took for text where GitHub has a list, a block or a table.
LEFT_OVER = re.compile(r"^\s*(?:\d+\.|[-*+]) |```|^\s*\|.*\|\s*$|\]\(", re.MULTILINE)


def test_no_markup_is_left_in_the_text(built: Path) -> None:
    found = [
        (str(page.relative_to(built)), text)
        for page in built.rglob("*.html")
        for text in PARAGRAPH.findall(re.sub(r"<code>.*?</code>", "", page.read_text("utf-8"), flags=re.DOTALL))
        if LEFT_OVER.search(text)
    ]
    assert found == []


def test_files_outside_docs_are_pages_with_their_text(built: Path) -> None:
    assert (built / "files/deploy/index.html").is_file()
    compose = (built / "files/deploy/compose.yaml/index.html").read_text(encoding="utf-8")
    assert "cap_drop" in compose
    assert "changelog" in (built / "CHANGELOG/index.html").read_text(encoding="utf-8").lower()


def test_every_page_of_docs_is_on_the_site(built: Path) -> None:
    sources = (page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md"))
    places = {page: page.parent if page.name in ("README", "index") else page for page in sources}
    assert [str(page) for page, place in places.items() if not (built / place / "index.html").is_file()] == []


def test_home_says_what_it_is_in_two_sentences() -> None:
    _, paragraph, *_ = (ROOT / "docs/index.md").read_text(encoding="utf-8").split("\n\n")
    assert len(re.findall(r"\.(?:\s|$)", paragraph)) == 2
    assert "CNCF Distribution" in paragraph
    assert "one line" in paragraph


AS_ON_GITHUB = {
    "a block in an entry of three spaces": (
        "1. One:\n\n   ```\n   $ a\n     b\n   ```\n\n   more\n\n2. Two\n",
        "1. One:\n\n    ```\n    $ a\n      b\n    ```\n\n    more\n\n2. Two\n",
    ),
    "an entry after a paragraph of the one before": (
        "1. One\n\n   more\n2. Two\n3. Three\n",
        "1. One\n\n    more\n\n2. Two\n3. Three\n",
    ),
    "an entry below a paragraph of an entry": ("- a\n\n  text\n  - b\n", "- a\n\n    text\n\n    - b\n"),
    "two levels": ("- a\n  - b\n    c\n- d\n", "- a\n    - b\n        c\n- d\n"),
    "a list after text": ("Text:\n- a\n- b\n", "Text:\n\n- a\n- b\n"),
    "a line that goes on with an entry": ("- a\nb\n- c\n", "- a\n    b\n- c\n"),
    "text after a list": ("- a\n\nText\n", "- a\n\nText\n"),
    "an entry of a block is no entry": ("```\n- a\n  - b\n```\n", "```\n- a\n  - b\n```\n"),
}


@pytest.mark.parametrize(("source", "expected"), AS_ON_GITHUB.values(), ids=AS_ON_GITHUB)
def test_lists_are_indented_for_python_markdown(source: str, expected: str) -> None:
    assert hooks.indented(source) == expected


@pytest.mark.parametrize("path", ["CHANGELOG.md", "docs/how-to/a.md", "deploy/README.md", "deploy/compose.yaml"])
def test_a_path_of_the_repository_has_one_place_on_the_site(path: str) -> None:
    assert hooks.repository_path(hooks.site_path(path)) == path
