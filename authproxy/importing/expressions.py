"""Patterns as CEL expressions: the conditions of imported rules.

CEL's `matches` searches with RE2, so regular expressions of docker_auth and Go mean the same.
"""

from collections.abc import Iterable, Sequence

from authproxy.importing.docker_auth.labels import Labels
from authproxy.importing.docker_auth.pattern import Inexpressible, Pattern
from authproxy.importing.shapes import LocalPart, Shape, Wild, is_literal, quote, to_regex

NAME = "identity.name"
GROUPS = "identity.groups"
REPOSITORY = "resource.repository"
_GROUP = "group"  # the variable that iterates over the groups


def literal(text: str) -> str:
    """A CEL string literal; raw if it contains backslashes."""
    if "\\" in text and '"' not in text and text.isprintable():
        return f'r"{text}"'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def is_any_of(variable: str, texts: Iterable[str]) -> str:
    """A test that a variable is one of these texts."""
    first, *others = sorted(texts)
    if not others:
        return f"{variable} == {literal(first)}"
    return f"{variable} in [{', '.join(map(literal, [first, *others]))}]"


def account_test(pattern: Pattern) -> str:
    """A test that the caller's name matches."""
    return _test(NAME, pattern)


def name_test(pattern: Pattern) -> str:
    """A test that the repository's name matches. Raises Inexpressible."""
    if not pattern.has_placeholder:
        return _test(REPOSITORY, pattern)
    tests = [_placed(shape, pattern) for shape in pattern.shapes or ()]
    return tests[0] if len(tests) == 1 else f"({' || '.join(tests)})"


def label_test(label: str, pattern: Pattern, labels: Labels) -> str:
    """A test that the label value of one of the caller's groups matches."""
    if pattern.literals is not None and len(pattern.literals) == 1:
        (value,) = pattern.literals
        return f"{literal(labels.group(label, value))} in {GROUPS}"
    return f"{GROUPS}.exists({_GROUP}, {_GROUP}.matches({literal(labels.group_regex(label, pattern))}))"


def network_test(network: str) -> str:
    """A test that the client's address is in a network."""
    return f"request.address.inNetwork({literal(network)})"


def negated(tests: Sequence[str]) -> str:
    """A test that not all of these are true; "" without any, which would never be true."""
    inner = " && ".join(tests)
    # A call, or an expression already in parentheses.
    if len(tests) == 1 and inner.endswith(")") and " " not in inner.partition("(")[0]:
        return f"!{inner}"
    return inner and f"!({inner})"


def _test(variable: str, pattern: Pattern) -> str:
    if pattern.literals:
        return is_any_of(variable, pattern.literals)
    if pattern.shapes and variable == NAME and pattern.is_nonempty:
        return f'{NAME} != ""'
    assert pattern.regex is not None
    return f"{variable}.matches({literal(pattern.regex)})"


def _placed(shape: Shape, pattern: Pattern) -> str:
    """A test that a name matches a shape with the caller's name, or one of their groups, in its place.

    That text is first compared literally: `startsWith` with everything up to its end. Then a regular expression with
    the text in it is matched. The text can then contain only the characters of repository names: of these only the dot
    is special, and it is at a place where a literal dot has been compared.
    """
    if any(isinstance(token, LocalPart) for token in shape):
        raise Inexpressible(f'"{pattern.text}" has a part of the caller\'s name where no glob of ours can express it')
    at = next(i for i, token in enumerate(shape) if token in (Wild.USER, Wild.GROUP))
    before, after = shape[:at], shape[at + 1 :]
    who = NAME if shape[at] is Wild.USER else _GROUP
    if any(token in (Wild.USER, Wild.GROUP) for token in after):
        raise Inexpressible(f'"{pattern.text}" has two placeholders')
    if all(map(is_literal, before)):
        head, tail = "".join(map(str, before)), str(after[0]) if after and is_literal(after[0]) else ""
        known = _sum(literal(head) if head else "", who, literal(tail) if tail else "")
        test = f"{REPOSITORY} == {known}"
        if len(after) > bool(tail):
            whole = _sum(literal(f"^{quote(head)}"), who, literal(f"{to_regex(after)}$"))
            test = f"{REPOSITORY}.startsWith({known}) && {REPOSITORY}.matches({whole})"
    elif all(map(is_literal, after)):
        head, tail = str(before[-1]) if is_literal(before[-1]) else "", "".join(map(str, after))
        known = _sum(literal(head) if head else "", who, literal(tail) if tail else "")
        whole = _sum(literal(f"^{to_regex(before)}"), who, literal(f"{quote(tail)}$"))
        test = f"{REPOSITORY}.endsWith({known}) && {REPOSITORY}.matches({whole})"
    else:
        raise Inexpressible(f'"{pattern.text}" has wildcards on both sides of a placeholder')
    if who == _GROUP:
        return f"{GROUPS}.exists({_GROUP}, {test})"
    return f"({test})" if "&&" in test else test


def _sum(*parts: str) -> str:
    return " + ".join(part for part in parts if part)
