"""What an upstream asks for against what it is sent; real registries are in tests/peers."""

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.config.mode import Mode
from authproxy.config.sections.upstream import Upstream
from authproxy.doctor.finding import Level
from authproxy.doctor.response import RegistryResponse
from authproxy.doctor.upstream.admission import Clients, judge_challenge, judge_entry
from authproxy.doctor.upstream.site import Site
from tests.support.realms import ALLOWED, REALMS, Realm

OUR_REALM = "https://registry.example.org/token"
OPEN, NOTHING = RegistryResponse(200, httpx.Headers()), RegistryResponse(401, httpx.Headers())
BASIC = RegistryResponse(401, httpx.Headers({"WWW-Authenticate": 'Basic realm="x"'}))
TOKENS = RegistryResponse(
    401, httpx.Headers({"WWW-Authenticate": 'Bearer realm="https://auth.example/token",service="s"'})
)
OURS = RegistryResponse(401, httpx.Headers({"WWW-Authenticate": f'Bearer realm="{OUR_REALM}",service="authproxy"'}))
ITS_OWN = RegistryResponse(
    401, httpx.Headers({"WWW-Authenticate": 'Bearer realm="https://auth.registry.example/token"'})
)
LOGIN: dict[str, Any] = {"username": "alice", "passwordfile": Path("password")}
KINDS: dict[str, dict[str, Any]] = {
    "strip": {},
    "pass": {},
    "basic": LOGIN,
    "bearer": LOGIN,
    "mint": {"service": "other"},
}


def site(kind: str) -> Site:
    section = {"url": "https://registry.example", "authorization": kind} | KINDS[kind]
    return Site("upstream", Upstream.model_validate(section), "config.yml", {})


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, by whom, what is asked for, and what is said of it; None: that has to be tried."""

    what: str
    kind: str
    mode: Mode
    answer: RegistryResponse
    level: str | None
    words: str = ""


CASES = [
    Case("nothing to a registry for all", "strip", Mode.ISSUE, OPEN, "ok", "make sure that only authproxy can"),
    Case("nothing to passwords", "strip", Mode.ISSUE, BASIC, "failed", "authorization: basic, with username"),
    Case("nothing to tokens", "strip", Mode.ISSUE, TOKENS, "failed", "and realms: [https://auth.example]; or mint"),
    Case("nothing to our tokens", "strip", Mode.ISSUE, OURS, "failed", "authorization: mint, with service: authproxy"),
    Case("nothing to silence", "strip", Mode.ISSUE, NOTHING, "failed", "without saying what it asks for"),
    Case("a password in vain", "basic", Mode.ISSUE, OPEN, "warning", "sent without effect"),
    Case("a password to passwords", "basic", Mode.ISSUE, BASIC, None),
    Case("a password to tokens", "basic", Mode.ISSUE, TOKENS, "failed", "authorization: bearer, with username"),
    Case("its tokens to its own", "bearer", Mode.ISSUE, ITS_OWN, None),
    Case("its tokens to somebody else's", "bearer", Mode.ISSUE, TOKENS, "failed", "realms: [https://auth.example], if"),
    Case("its tokens to passwords", "bearer", Mode.ISSUE, BASIC, "failed", "authorization: basic, with username"),
    Case("our tokens to tokens", "mint", Mode.ISSUE, OURS, None),
    Case("our tokens in vain", "mint", Mode.ISSUE, OPEN, "warning", "authorization: strip"),
    Case("our clients' in vain", "pass", Mode.ISSUE, OPEN, "warning", "authorization: strip"),
    Case("our clients' tokens to tokens", "pass", Mode.ISSUE, TOKENS, None),
    Case("our clients' tokens to passwords", "pass", Mode.ISSUE, BASIC, "failed", "clients send our tokens"),
    Case("our clients' passwords to passwords", "pass", Mode.BASIC, BASIC, "warning", "was not tried"),
    Case("our clients' passwords to tokens", "pass", Mode.BASIC, TOKENS, "failed", "clients send a name and a pass"),
    Case("foreign tokens to the same", "pass", Mode.VERIFY, OURS, "ok", "as do we; one of them was not tried"),
    Case("foreign tokens to others", "pass", Mode.VERIFY, TOKENS, "failed", f"clients send tokens of {OUR_REALM}"),
    Case("anything to tokens", "pass", Mode.OPEN, TOKENS, "ok", "clients prove themselves to it"),
    Case("anything that is silly to tokens", "pass", Mode.SILLY, TOKENS, "failed", "clients send anything"),
]


@pytest.mark.parametrize("case", CASES, ids=attrgetter("what"))
def test_what_is_sent_is_compared_with_what_is_asked_for(case: Case) -> None:
    finding = judge_challenge(site(case.kind), case.answer, Clients(case.mode, OUR_REALM))
    if finding is None:
        assert case.level is None
        return
    assert (finding.check, finding.level.value) == ("auth", case.level), finding
    assert case.words in f"{finding.what} → {finding.fix}"


@pytest.mark.parametrize(
    ("kind", "without", "words"),
    [
        ("basic", BASIC, "it refuses alice with the password of password (401); it asks for a name and a password"),
        ("bearer", TOKENS, "it refuses a token that https://auth.example/token gave alice (401)"),
        ("mint", OURS, "it refuses our token (401) → config.yml: upstream.service: authproxy"),
        ("pass", TOKENS, "it asks for tokens of https://auth.example/token (service 's') → `authproxy doctor --reg"),
    ],
)
def test_what_is_refused_is_told_with_what_to_change(kind: str, without: RegistryResponse, words: str) -> None:
    finding = judge_entry(site(kind), NOTHING, without, Clients(Mode.ISSUE, OUR_REALM))
    assert finding.level.value == "failed"
    assert words in f"{finding.what} → {finding.fix}"
    taken = judge_entry(site(kind), OPEN, without, Clients(Mode.ISSUE, OUR_REALM))
    assert (taken.level.value, taken.what.startswith("it accepts ")) == ("ok", True)


@pytest.mark.parametrize("row", REALMS, ids=attrgetter("what"))
def test_realm_is_judged_as_the_proxy_does(row: Realm) -> None:
    section = {"url": row.registry, "authorization": "bearer", "realms": ALLOWED} | LOGIN
    upstream = Site("upstream", Upstream.model_validate(section), "config.yml", {})
    quoted = row.realm.replace("\\", r"\\")
    answer = RegistryResponse(401, httpx.Headers({b"WWW-Authenticate": f'Bearer realm="{quoted}"'.encode()}))
    finding = judge_challenge(upstream, answer, Clients(Mode.OPEN))
    assert (finding is None) is row.proxy
    assert finding is None or (finding.level, finding.check) == (Level.FAILED, "auth")
