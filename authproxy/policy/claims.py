"""The claims of a caller as policies see them: each is a set of texts.

A text is itself, an integer its decimal digits, a boolean the word true or false; a list counts as each of its entries.
Other values (objects, null, fractions) are ignored. Anonymous callers have no claims.
"""

from authproxy.principal import Principal


def claim_values(principal: Principal, name: str) -> frozenset[str]:
    """All values of a claim of the caller, as texts; empty if the claim is missing."""
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
