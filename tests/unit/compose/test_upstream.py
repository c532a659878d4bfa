"""The section `upstream` → the backend that is another registry, and what looks after it."""

from authproxy.compose.parts import Parts
from authproxy.compose.upstream import make_upstream
from authproxy.config.upstream import Upstream as Section
from authproxy.health.checks import Checks
from authproxy.metrics.metrics import Metrics


def parts() -> Parts:
    return Parts(Metrics(), Checks(()))


async def test_addresses_are_looked_at_where_it_is_asked_for() -> None:
    plain, watched = parts(), parts()
    make_upstream(Section(url="http://a:1"), plain)
    upstream = make_upstream(
        Section.model_validate({"url": ["http://a:1", "http://b:1"], "health": {"interval": "1s"}}), watched
    )
    assert (len(plain.runners), len(watched.runners)) == (0, 1)
    assert repr(upstream) == "<Upstream http://a:1, http://b:1>"


async def test_each_upstream_is_looked_at() -> None:
    made = parts()
    for url in ("http://a:1", "http://a:1"):
        make_upstream(Section.model_validate({"url": url, "health": {}}), made)
    assert len(made.runners) == 2


async def test_all_are_closed() -> None:
    made = parts()
    make_upstream(Section(url="http://a:1"), made)
    assert len(made.closers) == 1
