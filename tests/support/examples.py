"""How many examples a property gets, in proportion to what the profile gives every other one."""

from hypothesis import settings


def more_examples(times: float) -> settings:
    """Decorate a property that needs more examples than others to meet what it is about."""
    assert settings.default is not None
    return settings(max_examples=round(times * settings.default.max_examples))
