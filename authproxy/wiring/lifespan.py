"""Everything that runs beside the requests, from the start of a process to its end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from authproxy.asgi import App, Receive, Scope, Send
from authproxy.files.reload import Reloadable
from authproxy.files.watcher import Watch
from authproxy.health.checks import Checks
from authproxy.log.configure import writer
from authproxy.log.once import LogOnce
from authproxy.metrics.families import LOG_LINES_LOST, RELOAD_FAILURES, RELOAD_LAST_LOOK, TASK_RESTARTS
from authproxy.metrics.metrics import Metrics
from authproxy.server.drain import Drain
from authproxy.server.systemd import READY, notify
from authproxy.supervised import Runner, supervised


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the application runs, reloads and closes; `wiring/` fills the lists."""

    metrics: Metrics
    checks: Checks
    once: LogOnce = field(default_factory=LogOnce)
    watch: Watch = field(default_factory=Watch)
    drain: Drain = field(default_factory=Drain)
    reloadables: list[Reloadable] = field(default_factory=list)
    runners: dict[str, Runner] = field(default_factory=dict)  # by a short description
    servers: list[Callable[[], AbstractAsyncContextManager[None]]] = field(default_factory=list)
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def takes_access_away(self) -> bool:
        """Whether there is any part through which access can be taken away while the server runs."""
        return any(part.takes_access_away for part in self.reloadables)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run everything for the length of a block; then end and close it, the last part first."""
        runners = {
            "reload what changes": self.watch.supervise,
            **({"health checks": self.checks.run} if self.checks else {}),
            **({"metrics": self.metrics.run} if self.metrics.is_shared else {}),
            **self.runners,
        }
        self.metrics.watch(RELOAD_LAST_LOOK, self.watch.last_looks)
        self.metrics.watch(RELOAD_FAILURES, self.watch.failures)
        self.metrics.watch(LOG_LINES_LOST, lambda: {(): float(writer().lost)})
        async with AsyncExitStack() as stack:
            for close in self.closers:
                stack.push_async_callback(close)
            await self.watch.first_looks(self.reloadables)
            stack.callback(self.watch.stop)
            self.watch.start(self.reloadables)
            stack.enter_context(self.drain.noticing())
            for name, run in runners.items():
                await stack.enter_async_context(supervised(name, run, self._count_restart))
            for serve in self.servers:
                await stack.enter_async_context(serve())
            yield

    def _count_restart(self, name: str) -> None:
        self.metrics.count(TASK_RESTARTS, name)


class Lifespan:
    """The outermost layer: starts and ends everything that runs beside the requests, and passes on only HTTP."""

    def __init__(self, app: App, parts: Parts) -> None:
        self.app = app
        self.parts = parts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass requests on without a coroutine of its own."""
        match scope["type"]:
            case "http":
                return self.app(scope, receive, send)
            case "lifespan":
                return self._live(receive, send)
            case other:
                raise RuntimeError(f"{other} is not served")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # startup
        async with self.parts.running():
            await send({"type": "lifespan.startup.complete"})
            notify(READY)  # from each worker: the first one counts
            await receive()  # shutdown
        await send({"type": "lifespan.shutdown.complete"})
