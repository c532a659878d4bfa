"""The lines of configuration, by how tokens name their key: for which version there are any."""

from dataclasses import dataclass
from operator import attrgetter

import pytest
import yaml

from authproxy.token.distribution_export import Verification, configuration_lines
from authproxy.token.jose_header import PLAIN, HeaderStyle

LEAF = HeaderStyle(x5c="leaf")
LIBTRUST = HeaderStyle("libtrust")


@dataclass(frozen=True, slots=True)
class Row:
    """What each of the two blocks says: the words of its comments, or none where there is nothing to say."""

    what: str
    style: HeaderStyle
    algorithms: tuple[str, ...]
    of_2_8: str
    of_3: str


ROWS = [
    Row("certificates, EC", LEAF, ("ES256",), "", ""),
    Row("certificates, EdDSA", LEAF, ("ES256", "EdDSA"), "no, it verifies no EdDSA", ""),
    Row("names, RSA", PLAIN, ("RS256",), "no, it knows keys by another name", ""),
    Row("names, EC", PLAIN, ("ES256",), "no, it knows keys by another name", "3.1 or later"),
    Row("names, both", PLAIN, ("RS256", "ES256"), "no, it knows keys by another name", "3.1 or later"),
    Row(
        "names, EdDSA", PLAIN, ("EdDSA",), "no, it knows keys by another name", "no, it finds no EdDSA key by its name"
    ),
    Row("names of libtrust's", LIBTRUST, ("ES256",), "", "no, it knows keys by another name"),
]


@pytest.mark.parametrize("row", ROWS, ids=attrgetter("what"))
def test_each_version_gets_its_lines_or_the_reason_why_not(row: Row) -> None:
    lines = configuration_lines(Verification("https://r/token", "s", "i", row.algorithms, row.style), "b.pem")
    old, title, new = lines.partition("# CNCF Distribution 3.x")
    assert title
    for block, words in ((old, row.of_2_8), (new, row.of_3)):
        assert words in block
        assert ("no, it" in block) == words.startswith("no, it")
        assert ("3.1 or later" in block) == words.startswith("3.1")
        has_lines = "auth:" in block
        assert has_lines != words.startswith("no, it")
        if has_lines:
            section = yaml.safe_load(block[block.index("\n") :])["auth"]["token"]
            assert (section["service"], section["issuer"]) == ("s", "i")
