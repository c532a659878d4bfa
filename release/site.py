"""What the site needs beside the pages of docs/, as hooks of mkdocs (`hooks` in mkdocs.yml).

Pages are written for GitHub, and read there too. Two things differ on the site. Its root is docs/, so each file outside
it that a page links to becomes a page of the site, below `files/`; those of PAGES keep their names. And Python-Markdown
wants four spaces below an entry of a list, where GitHub wants as many as the marker takes.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Pages at the top of the repository that the navigation names.
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
DOCS = "docs"
OTHER_FILES = "files"

# `](target)` or `](target#anchor)` of this repository; code first, so that a link in it is not found.
LINK = re.compile(
    r"(?P<code>^ *```.*?^ *```$|`[^`\n]+`)|\]\((?P<target>(?!https?:|mailto:|#)[^)#\s]+)", re.MULTILINE | re.DOTALL
)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".service": "ini", ".json": "json", ".toml": "toml"}
FENCE = re.compile(r" *(```+|~~~+)")
ENTRY = re.compile(r"(?P<indent> *)(?P<marker>[-*+]|\d+[.)])(?P<space> +)")
STEP = 4


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of files outside docs/: those of PAGES, and what any page links to, and so on."""
    root = Path(config.docs_dir).parent
    for name in PAGES:
        if (root / name).exists():
            files.append(File.generated(config, name, content=(root / name).read_text(encoding="utf-8")))
    queue = list(files.documentation_pages())
    while queue:
        page = queue.pop()
        for path in _links(root, page.src_uri, page.content_string):
            place = site_path(path)
            if files.get_file_from_path(place) is None and not path.startswith(f"{DOCS}/"):
                new = File.generated(config, place, content=_as_page(root / path))
                files.append(new)
                queue.append(new)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs names it
    """Point links to where the site has the file, and indent lists as Python-Markdown reads them."""
    root = Path(config.docs_dir).parent
    here = page.file.src_uri
    if here == "index.md":
        page.meta["hide"] = ["navigation", "toc"]  # the whole width: both would only repeat the page

    def point(found: re.Match[str]) -> str:
        if found["target"] is None or (path := _resolve(root, here, found["target"])) is None:
            return found[0]
        return "](" + posixpath.relpath(site_path(path), posixpath.dirname(here) or ".")

    return indented(LINK.sub(point, markdown))


def repository_path(place: str) -> str:
    """The path in the repository of a file of the site."""
    if place in PAGES:
        return place
    if place.startswith(f"{OTHER_FILES}/"):
        path = place.removeprefix(f"{OTHER_FILES}/")
        return path if PurePosixPath(path).name == "README.md" else path.removesuffix(".md")
    return f"{DOCS}/{place}"


def site_path(path: str) -> str:
    """Where the site has a file of the repository."""
    if path in PAGES:
        return path
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    return f"{OTHER_FILES}/{path}" if path.endswith("README.md") else f"{OTHER_FILES}/{path}.md"


def _links(root: Path, place: str, markdown: str) -> Iterator[str]:
    for found in LINK.finditer(markdown):
        if found["target"] and (path := _resolve(root, place, found["target"])):
            yield path


def _resolve(root: Path, place: str, target: str) -> str | None:
    """The file of the repository that a link of a page means, a folder's README.md; None where there is none."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(place)), target))
    if path.startswith(".."):
        return None
    if (root / path).is_dir():
        path = posixpath.join(path, "README.md")
    return path if (root / path).is_file() else None


def _as_page(file: Path) -> str:
    """A file as a page: Markdown unchanged, all else as a block. The search leaves it out."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".md":
        language = "dockerfile" if file.name == "Dockerfile" else LANGUAGES.get(file.suffix, "text")
        text = f"# {file.name}\n\n``````{language}\n{text.rstrip()}\n``````\n"
    return f"---\nsearch:\n  exclude: true\n---\n{text}"


def indented(markdown: str) -> str:
    """The same lists with four spaces for each level, and an empty line before each."""
    lines: list[str] = []
    levels: list[int] = []  # the columns at which the contents of the open entries begin
    fence = ""
    is_loose = False  # whether the open entry has an empty line
    for line in markdown.splitlines():
        column = len(line) - len(line.lstrip())
        if not line.strip():
            lines.append("")
            is_loose = is_loose or bool(levels)
            continue
        entry = None if fence else ENTRY.match(line)
        begins = not levels
        if not fence:
            is_lazy = bool(lines and lines[-1]) and not entry and not FENCE.match(line)  # goes on with a paragraph
            while levels and column < levels[-1] and not is_lazy:
                levels.pop()
        base = levels[-1] if levels else 0
        if entry:
            follows_text = begins and not (lines and lines[-1].startswith((" ", "#")))
            if lines and lines[-1] and (follows_text or is_loose):
                lines.append("")  # neither a list nor the next entry may follow a paragraph without an empty line
            is_loose = False
            levels.append(entry.end())
            depth = len(levels) - 1
            lines.append(" " * (STEP * depth) + line[column:])
        else:
            lines.append(" " * (STEP * len(levels) + max(0, column - base)) + line[column:])
        if opened := FENCE.match(line):
            if not fence:
                fence = opened[1]
            elif line.strip().startswith(fence):
                fence = ""
    return "\n".join(lines) + "\n"
