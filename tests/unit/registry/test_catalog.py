"""The order of names: bytewise over whole names, whatever folders they make."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from authproxy.reference import Repository
from authproxy.registry.catalog import repositories
from authproxy.storage import layout
from authproxy.storage.memory import MemoryDriver

# Few letters and every separator, so that names are parts of each other.
NAMES = st.from_regex(r"[ab](?:[-._]?[a0])?(?:/[ab](?:[-.][a0])?){0,2}", fullmatch=True)


@given(names=st.sets(NAMES, max_size=12), after=NAMES | st.text(max_size=4) | st.text("ab/,-.0!", max_size=4))
@example(names={"a/a"}, after="a,")
@settings(deadline=None)
async def test_names_come_in_order_from_anywhere(names: set[str], after: str) -> None:
    driver = MemoryDriver()
    for name in names:
        await driver.write(layout.StorePath(f"{layout.repository(Repository(name))}/{layout.LAYERS}/x"), b"")
    assert [name async for name in repositories(driver, after=after)] == sorted(n for n in names if n > after)
