"""Steps of a race, in one process: something happens exactly before a request to the storage."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from authproxy.storage.driver import Driver

Deed = Callable[[], Awaitable[None]]


def before(driver: Driver, method: str, part: str, deed: Deed) -> Callable[[], bool]:
    """Do `deed` once before the first call of `method` whose arguments have `part`. Returns: has it happened?"""
    inner = getattr(driver, method)
    happened = False

    async def step(arguments: tuple[Any, ...]) -> None:
        nonlocal happened
        if not happened and part in repr(arguments):
            happened = True
            await deed()

    if method in ("publish", "open_reader", "create_upload", "open_upload"):

        @asynccontextmanager
        async def entered(*arguments: Any, **more: Any) -> Any:
            await step(arguments)
            async with inner(*arguments, **more) as found:
                yield found

        setattr(driver, method, entered)
    else:

        async def called(*arguments: Any, **more: Any) -> Any:
            await step(arguments)
            return await inner(*arguments, **more)

        setattr(driver, method, called)
    return lambda: happened
