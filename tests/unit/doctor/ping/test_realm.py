"""What is said of a token server, before it is asked and after."""

from operator import attrgetter

import httpx
import pytest

from authproxy.doctor.challenge import BEARER, AuthRequirement
from authproxy.doctor.finding import Level
from authproxy.doctor.ping.realm import judge_answer, judge_place
from authproxy.doctor.response import RegistryResponse
from authproxy.http.client.address import parse_address
from authproxy.http.client.token import MAX_ANSWER_BYTES
from tests.support.realms import REALMS, Realm


@pytest.mark.parametrize("row", REALMS, ids=attrgetter("what"))
def test_place_is_judged_as_a_registry_client_does(row: Realm) -> None:
    finding = judge_place(parse_address(row.registry), AuthRequirement((BEARER,), row.realm))
    assert (finding is None) is row.client
    assert finding is None or (finding.level, finding.check) == (Level.FAILED, "realm")


def test_token_in_an_answer_that_no_client_reads_to_its_end_is_none() -> None:
    body = b'{"token": "%s"}' % (b"x" * MAX_ANSWER_BYTES)
    judged = judge_answer(
        AuthRequirement((BEARER,), "https://r.example/token"), RegistryResponse(200, httpx.Headers(), body)
    )
    assert (judged.finding.level, judged.token) == (Level.FAILED, None)


@pytest.mark.parametrize("lifetime", ["9" * 400, "-" + "9" * 400, "NaN", "Infinity"])
def test_lifetime_that_is_no_number_of_64_bits_is_reported(lifetime: str) -> None:
    body = b'{"token": "x", "expires_in": %s}' % lifetime.encode()
    judged = judge_answer(
        AuthRequirement((BEARER,), "https://r.example/token"), RegistryResponse(200, httpx.Headers(), body)
    )
    assert judged.finding.level is Level.FAILED
    assert "expires_in" in judged.finding.what
