"""The claims of a caller as policies see them: each is a set of texts.

A text is itself, a whole number its decimal digits, true and false these words; a list is each of its entries. What is
anything else (an object, null, a fraction) is as if it were not there. Nobody without a name has claims.
"""

from authproxy.principal import Principal


def claim_values(principal: Principal, name: str) -> frozenset[str]:
    """All values that a caller has for a claim, as texts; none where it is missing."""
    if principal.is_anonymous or (value := principal.claims.get(name)) is None:
        return frozenset()
    values = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return frozenset(text for each in values if (text := _to_text(each)) is not None)


def _to_text(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            return None
