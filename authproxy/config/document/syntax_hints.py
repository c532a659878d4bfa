"""The usual mistakes in YAML: the line where the parser stopped, and how to write that line instead.

The parser knows what it expected next; the author of the file wants to know what to write. Values are shown, except for
keys that may have a secret. If no rule matches, the parser's own message is used.
"""

import re
from collections.abc import Callable, Iterator

import yaml

# A key, its value, and a comment after it; before the key, spaces and the dashes of lists.
_ENTRY = re.compile(r"(?P<key>[\w./*-]+|\"[^\"]*\"|'[^']*'):\s+(?P<value>\S.*?)\s*(?:\s#.*)?$")
_SECRET = re.compile(r"secret|password|token|auth|key|credential", re.IGNORECASE)
_GLUED = re.compile(r"[\w.-]+:[^\s:/\\][^\s]*\s*$")  # `key:value`, but not a URL
_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")
# In a list or map on one line: an element that begins with a special character, or continues after a brace.
_ELEMENT = re.compile(r"[\[,:{]\s*([@`%*&!][^\],}]*|\{[^\],}]*\}[^\s\],}][^\],}]*)")
_HIDDEN = "…"
# The longest part of a line, in characters, that is examined.
_MAX_LINE = 1000
_SHOWN_LENGTH = 80

Rule = Callable[[str, list[str], int, yaml.MarkedYAMLError], str | None]


def explain_slip(text: str, error: yaml.MarkedYAMLError) -> str | None:
    """What is wrong on the line of a parser's error, and how to write it; None if no rule matches."""
    mark = error.problem_mark or error.context_mark
    lines = [line[:_MAX_LINE] for line in text.splitlines()]
    if mark is None or not lines:
        return None
    number = min(mark.line, len(lines) - 1)
    return next(_explained(f"{error.context or ''} {error.problem or ''}", lines, number, error), None)


def _explained(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> Iterator[str]:
    for rule in _RULES:
        if sentence := rule(problem, lines, number, error):
            yield sentence


def _marker(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    del problem, error
    if any(line.startswith(_MARKERS) for line in lines[max(number - 1, 0) : number + 1]):
        return "a conflict marker of an unfinished merge; keep one side of it"
    return None


def _template(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    del problem, error
    if "{{" in lines[number] or "{%" in lines[number]:
        return "a template, {{ … }} or {% … %}, that was not filled in; use the rendered file"
    return None


def _blank(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    del error
    if "'\\t'" in problem:
        return "indent with spaces, not with tabs"
    for at in range(max(number - 1, 0), min(number + 2, len(lines))):
        if found := re.search(r"[^\S \t]", lines[at]):
            return f"line {at + 1}: a character that only looks like a space (U+{ord(found[0]):04X}); write a space"
    return None


def _document(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    del lines, number, error
    return "--- begins a second document here; keep one per file" if "another document" in problem else None


def _quotes(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    if "quoted scalar" in problem and "end of stream" in problem and error.context_mark is not None:
        return f"the quote that begins in line {error.context_mark.line + 1} has no end; add it"
    entry = _ENTRY.search(lines[number])
    if "escape character" in problem:
        key, value = (entry["key"], entry["value"].strip('"')) if entry else ("key", _HIDDEN)
        shown = _shown(key, value, quote="'")
        return f"in double quotes a backslash begins an escape; use single quotes: {key}: {shown}"
    if entry and entry["value"][0] in "\"'" and "<scalar>" in problem:
        quote = entry["value"][0]
        other = "'" if quote == '"' else '"'
        return f"text after the closing {quote}; put the whole value in quotes, in {other} if it has a {quote}"
    return None


def _list_without_end(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    for end, kind in (("]", "list"), ("}", "map")):
        if f"expected ',' or '{end}'" in problem and error.context_mark is not None:
            began = error.context_mark.line
            if began != number or lines[number].rstrip()[-1:] != end:
                return f"the {kind} that begins in line {began + 1} has no {end}; add it, or put the value in quotes"
    return None


def _alias(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    del lines, number, error
    if "undefined alias" in problem:
        return "an alias without an &anchor of this name before it; a text that begins with * needs quotes"
    return None


def _special_start(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    """A value that begins with a special character of YAML."""
    del problem, error
    entry = _ENTRY.search(lines[number])
    if entry is None:
        item = re.match(r"\s*-\s+(?P<value>[@`%*&!|>{\[].*?)\s*$", lines[number])
        return _in_quotes("-", item["value"]) if item else None
    key, value = entry["key"], entry["value"]
    if value[0] + value[-1] in ("[]", "{}"):
        element = _ELEMENT.search(value)
        if element is None:
            return None
        return f"an element that begins with {element[1][0]} needs quotes; write {_shown(key, element[1].strip())}"
    return _in_quotes(f"{key}:", value) if value[0] in "@`%*&!|>{[" else None


def _in_quotes(key: str, value: str) -> str:
    return f"a value that begins with {value[0]} needs quotes; write {key} {_shown(key, value)}"


def _colons(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    """A colon that ends a key by mistake, or fails to end one."""
    del error
    if "mapping values are not allowed" not in problem:
        return None
    before = number - 1
    while before >= 0 and (not lines[before].strip() or lines[before].lstrip().startswith("#")):
        before -= 1
    entry = _ENTRY.search(lines[number])
    if entry and re.search(r":(\s|$)", entry["value"]) and entry["value"][0] not in "\"'":
        value = entry["value"]
        return f"a colon with a space after it ends a key; write {entry['key']}: {_shown(entry['key'], value)}"
    if before >= 0 and _GLUED.search(lines[before]):
        key, _, value = lines[before].strip().partition(":")
        return f"line {before + 1}: a key's colon needs a space after it; write {key}: {_shown(key, value, quote='')}"
    if before >= 0 and (parent := _ENTRY.search(lines[before])) and _indent(lines[number]) > _indent(lines[before]):
        return (
            f"{parent['key']} already has a value in line {before + 1}, so it can't have keys below it; remove the"
            f" value, or indent this line like line {before + 1}"
        )
    return None


def _indentation(problem: str, lines: list[str], number: int, error: yaml.MarkedYAMLError) -> str | None:
    """A line that begins in a column in which no line of its block begins."""
    del error
    if "<block end>" not in problem:
        return None
    column = _indent(lines[number])
    wanted: dict[int, str] = {}
    for before in range(number - 1, -1, -1):
        line = lines[before]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        dash = re.match(r"(\s*)((?:-\s+)+)\S", line)
        if dash and column <= len(dash[1]):
            return f"a list begins in line {before + 1} or before, and no key can be beside its entries"
        begins = len(dash[1]) + len(dash[2]) if dash else _indent(line)
        if begins != column:
            wanted.setdefault(begins, f"by {begins} like line {before + 1}")
        if dash or begins < column:
            break
    ways = ", or ".join(list(wanted.values())[:2])
    return f"indented by {column}, unlike every line that it could belong to; indent it {ways}" if ways else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _shown(key: str, value: str, quote: str = '"') -> str:
    if _SECRET.search(key):
        value = _HIDDEN
    doubled = value.replace("'", "''") if quote == "'" else value
    if quote == '"' and ('"' in value or "\\" in value):
        quote, doubled = "'", value.replace("'", "''")
    return _cut(f"{quote}{doubled}{quote}")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


_RULES: tuple[Rule, ...] = (  # the first that matches explains the mistake
    _marker,
    _template,
    _document,
    _blank,
    _quotes,
    _colons,
    _alias,
    _special_start,
    _list_without_end,
    _indentation,
)
