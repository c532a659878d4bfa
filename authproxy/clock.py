"""Time as an argument: what decides by it is tested without waiting."""

from collections.abc import Callable
from typing import TypeAlias

# Seconds: since 1970, or of a clock that never goes back, as whoever takes it says.
Clock: TypeAlias = Callable[[], float]
