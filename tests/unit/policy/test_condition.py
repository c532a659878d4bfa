from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import CATALOG, pull, push
from authproxy.config.document.tree import parse_document
from authproxy.policy.cases import run_cases
from authproxy.policy.check import check
from authproxy.policy.condition import MAX_LENGTH, Condition, ConditionInvalid
from authproxy.policy.decide import decide
from authproxy.policy.diff import diff, render
from authproxy.policy.explain import explain
from authproxy.policy.facts import NAMES, Facts, Question, named_in
from authproxy.policy.file_schema import parse_policy
from authproxy.policy.load import PolicyError, load_policies
from authproxy.policy.model import Action, Effect, PolicySet, SubjectKey
from authproxy.policy.network import is_in_network
from authproxy.policy.policies import Policies
from authproxy.policy.request import RequestFacts
from authproxy.policy.rule_atoms import atom_covers, atoms
from authproxy.policy.who_can import who_can
from authproxy.principal import ANONYMOUS, Principal
from tests.unit.policy.builders import make_rule

NOON = 1_800_014_400.0  # 2027-01-15T12:00:00Z
CLAIMS = MappingProxyType({"ref": "main", "tags": ("a", "b"), "id": 7, "protected": True, "deep": {"x": None}})
CI = Principal("ci", frozenset({"devs", "ops"}), CLAIMS, "ldap")
REQUEST = RequestFacts("10.1.2.3", tls=True)
DENY = Effect.DENY

HOLDS: list[tuple[str, bool | None]] = [
    ("true", True),
    ("identity.name == 'ci'", True),
    ("'devs' in identity.groups", True),
    ("identity.groups.exists(group, group.startsWith('op'))", True),
    ("identity.source == 'ldap'", True),
    ("identity.claims.ref == 'main'", True),
    ("identity.claims.ref == 'dev'", False),
    ("'b' in identity.claims.tags", True),
    ("identity.claims.id == 7 && identity.claims.protected", True),
    ("identity.claims.deep.x == null", True),
    ("resource.repository.startsWith('team/')", True),
    ("resource.action == 'push'", False),
    ("time < timestamp('2028-01-01T00:00:00Z')", True),
    ("time.getHours() >= 8 && time.getHours() < 17", True),
    ("time.getHours('Asia/Tokyo') == 21", True),
    ("identity.robot", False),
    ("request.tls", True),
    ("request.address == '10.1.2.3'", True),
    ("request.address.inNetwork('10.0.0.0/8')", True),
    ('request.address.inNetwork("192.168.0.0/16")', False),
    ('!request.address.inNetwork("2001:db8::/32") && request.address.inNetwork( "10.1.2.3" )', True),
    ("identity.name.inNetwork('10.0.0.0/8')", None),
    ("has(identity.claims.missing)", False),
    ("identity.claims.missing == 'x'", None),
    ("identity.claims.missing == 'x' || true", True),
    ("identity.claims.ref.size() / 0 == 1", None),
    ("identity.claims.protected.startsWith('x')", None),
]


def facts(now: float | None = NOON) -> Facts:
    return Facts(Question(CI, "team/app", "pull", now, REQUEST))


@pytest.mark.parametrize(("text", "holds"), HOLDS)
def test_holds(text: str, holds: bool | None) -> None:  # noqa: FBT001  a column
    assert Condition.parse(text).holds(facts()) is holds


REFUSED = [
    ("an undeclared name", "identity.nme == 'a'", "at 1:9: undeclared reference to 'identity.nme'; allowed: CEL over"),
    ("an undeclared variable", "user == 'a'", "undeclared reference to 'user'"),
    ("an undeclared function", "open('/etc/passwd') == ''", "undeclared reference to 'open'"),
    ("no expression", "time <", "Syntax error"),
    ("nothing", "", "Syntax error"),
    ("two types", "identity.name > 3", "no matching overload"),
    ("a text", "identity.name", "this is of type string; allowed: an expression that is true or false"),
    ("who knows what", "identity.claims.ref", "this is of type dyn"),
    ("too long", "true" + " || true" * MAX_LENGTH, "longer than a condition may be"),
    ("no network", "request.address.inNetwork('10.0.0.0/33')", "'10.0.0.0/33' does not appear to be an IPv4 or IPv6"),
    (
        "a network with an address's bits",
        "request.address.inNetwork('10.0.0.1/8')",
        "has host bits set; allowed: a net",
    ),
    ("a network that is not written", "request.address.inNetwork(identity.name)", 'allowed: inNetwork("10.0.0.0/8")'),
    ("a function of nothing", "inNetwork('10.0.0.0/8')", "'inNetwork'; allowed: CEL over"),
    ("client certificates, which no client is asked for", "request.certificate == ''", "undeclared reference to"),
    ("too deep", "(" * 200 + "true" + ")" * 200, "allowed: CEL over"),
]


@pytest.mark.parametrize(("text", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(text: str, says: str) -> None:
    with pytest.raises(ConditionInvalid) as caught:
        Condition.parse(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refused_condition_names_file_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nrules:\n  - name: r\n    allow: [pull]\n    to: {everyone: true}\n"
        '    on: {repositories: ["**"]}\n    when: nme == "a"\n',
        encoding="utf-8",
    )
    with pytest.raises(PolicyError, match=r"p\.yaml:7: rules\.0\.when: at 1:1: undeclared reference to 'nme'"):
        load_policies(path)


def test_loops_within_loops_end_in_what_cannot_be_told() -> None:
    text = "true"
    for name in "abcdef":
        text = f"[0,1,2,3,4,5,6,7,8,9].all({name}, {text})"
    assert Condition.parse(text).holds(facts()) is None


def test_without_a_time_conditions_about_it_cannot_be_told() -> None:
    assert Condition.parse("time > timestamp('2020-01-01T00:00:00Z')").holds(facts(now=None)) is None


UNKNOWN = [
    ("no request", "request.tls || request.address != ''", None),
    ("no address", "request.address != ''", RequestFacts(tls=True)),
    ("nothing of TLS", "request.tls", RequestFacts("10.1.2.3")),
]


@pytest.mark.parametrize(("text", "request_"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN])
def test_what_is_not_known_of_a_request_cannot_be_told(text: str, request_: RequestFacts | None) -> None:
    known = Facts(Question(CI, "a", "pull", request=request_))
    assert Condition.parse(text).holds(known) is None


ADDRESSES = [
    ("10.255.0.1", "10.0.0.0/8", True),
    ("11.0.0.1", "10.0.0.0/8", False),
    ("::ffff:10.1.2.3", "10.0.0.0/8", True),
    ("2001:db8::1", "2001:db8::/32", True),
    ("2001:db8::1", "10.0.0.0/8", False),
    ("fe80::1%eth0", "fe80::/10", True),
    ("127.0.0.1", "127.0.0.1", True),
]


@pytest.mark.parametrize(("address", "network", "is_in"), ADDRESSES)
def test_networks(address: str, network: str, is_in: bool) -> None:  # noqa: FBT001  a column
    assert is_in_network(address, network) is is_in


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5),
    )
)
def test_whatever_the_claims_a_condition_never_raises(claims: dict[str, Any]) -> None:
    principal = Principal("x", claims=claims)
    known = Facts(Question(principal, "a", "pull", NOON))
    for text in ("identity.claims.a == 1", "identity.name == 'x'"):
        assert Condition.parse(text).holds(known) in (True, False, None)


@pytest.mark.parametrize("value", ["\ud800", 2**80, float("nan"), object(), b"x", {1: 2}])
def test_claims_that_are_no_json_open_nothing(value: object) -> None:
    known = Facts(Question(Principal("x", claims={"a": value}), "a", "pull", NOON))
    assert not Condition.parse("identity.claims.a == 'x'").holds(known)


def test_nobody_has_claims_without_a_name() -> None:
    known = Facts(Question(Principal("", claims={"a": "b"}), "a", "pull"))
    assert Condition.parse("has(identity.claims.a)").holds(known) is False


def test_every_name_is_known_for_every_access() -> None:
    for access in (pull("a"), CATALOG):
        for name, kind in NAMES.items():
            own = f"{name} == {name}" if kind != "timestamp" else f"{name} == timestamp('2027-01-15T12:00:00Z')"
            actions = frozenset([Action.CATALOG]) if access == CATALOG else frozenset([Action.PULL])
            rule = make_rule(1, when=own, actions=actions, on=() if access == CATALOG else ("**",))
            assert decide(PolicySet((rule,)), CI, access, now=NOON, request=REQUEST).allowed, name


def test_the_names_that_an_expression_speaks_of_are_found_however_it_is_written() -> None:
    text = "identity . claims // why\n .ref == 'x' && size(identity\n.groups) > 0 && time > timestamp(0)"
    assert named_in(text) == {"identity.claims", "identity.groups", "time"}
    known = Facts(Question(CI, "a", "pull", NOON))
    assert set(known.of(NAMES)) == {name for name in NAMES if not name.startswith("request.")}


def test_a_claim_that_is_no_json_keeps_nothing_from_being_told_but_claims() -> None:
    known = Facts(Question(Principal("x", claims={"a": "\ud800"}), "a", "pull"))
    assert Condition.parse("identity.claims.a == 'x'").holds(known) is None
    assert Condition.parse("identity.name == 'x'").holds(known) is True


UNTOLD = "identity.claims.missing == 'x'"


@pytest.mark.parametrize(
    ("when", "effect", "is_allowed"),
    [
        ("true", Effect.ALLOW, True),
        ("false", Effect.ALLOW, False),
        (UNTOLD, Effect.ALLOW, False),
        ("true", DENY, False),
        ("false", DENY, True),
        (UNTOLD, DENY, False),
    ],
)
def test_what_cannot_be_told_never_opens_anything(when: str, effect: Effect, is_allowed: bool) -> None:  # noqa: FBT001  a column
    rules = [make_rule(1, effect=effect, when=when)]
    if effect is DENY:
        rules.append(make_rule(2))
    assert decide(PolicySet(tuple(rules)), CI, pull("a")).allowed is is_allowed


def test_an_allow_whose_condition_fails_gives_no_lifetime() -> None:
    policies = PolicySet((make_rule(1), make_rule(2, lifetime_s=60, when="false")))
    assert decide(policies, CI, pull("a")).lifetime_s is None


def test_running_policies_know_the_time(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nrules:\n  - {name: r, allow: [pull], to: {everyone: true}, on: {repositories: [a]},"
        ' when: "time.getHours() == 12", lifetime: 2m}\n',
        encoding="utf-8",
    )
    times = [NOON]
    policies = Policies(path, now=lambda: times[0])
    assert policies.granted(ANONYMOUS, [pull("a")]) == {pull("a")}
    assert policies.decide(ANONYMOUS, pull("a")).allowed
    assert policies.decide(ANONYMOUS, pull("a")).lifetime_s == 120
    times[0] += 3600
    assert policies.granted(ANONYMOUS, [pull("a")]) == frozenset()


CASES = """\
version: 1
rules:
  - {name: r, allow: [pull], to: {everyone: true}, on: {repositories: [a]}, when: "time.getHours('UTC') == 12"}
tests:
  - {who: {anonymous: true}, what: "repository:a:pull", at: 2027-01-15T13:30:00+01:00, expected: allow}
  - {who: {anonymous: true}, what: "repository:a:pull", at: 2027-01-15T13:30:00Z, expected: deny}
  - {who: {anonymous: true}, what: "repository:a:pull", expected: deny, why: Without a time it cannot be told.}
"""


def test_a_case_says_when() -> None:
    parsed = parse_policy(parse_document(CASES, "p.yaml"))
    assert run_cases(PolicySet(parsed.rules), parsed.cases).failed == ()


@pytest.mark.parametrize("time", ["2027-01-15", "2027-01-15T12:00:00", "noon", "12"])
def test_a_time_without_its_offset_is_refused(time: str) -> None:
    with pytest.raises(Exception, match=r"p\.yaml:5: tests\.0\.at: .* is not a time; allowed: date, time and offset"):
        parse_policy(parse_document(CASES.replace("2027-01-15T13:30:00+01:00", time), "p.yaml"))


@pytest.mark.parametrize(("when", "says"), [("false", "does not hold"), (UNTOLD, "is undecidable")])
def test_explain_says_that_the_condition_kept_a_rule_from_allowing(when: str, says: str) -> None:
    (explanation,) = explain(PolicySet((make_rule(1, when=when),)), CI, pull("a"))
    (near,) = explanation.near
    assert near.why_not == f"its condition {says}"
    assert near.rule.summary.endswith(f", when {when}")


def test_a_condition_is_opaque_to_comparisons() -> None:
    plain, conditional, other = make_rule(1), make_rule(2, when="true"), make_rule(3, when="1 == 1")
    one, two, three = (next(atoms(rule)) for rule in (plain, conditional, other))
    assert (atom_covers(one, two), atom_covers(two, one), atom_covers(two, three)) == (True, False, False)
    assert [finding.line for finding in check(PolicySet((plain, conditional)))] == [2]
    assert check(PolicySet((conditional, other))) == ()


def test_the_difference_shows_conditions() -> None:
    rule = make_rule(1, actions=frozenset([Action.PULL]), when="time.getHours() == 12", on=("a",))
    assert render(diff(PolicySet(), PolicySet((rule,)))) == ["+ pull: everyone on a when time.getHours() == 12"]
    assert diff(PolicySet((rule,)), PolicySet((rule,))) == ()


def test_who_can_tells_those_apart_who_may_by_conditions() -> None:
    devs, ops = SubjectKey("group", "devs"), SubjectKey("group", "ops")
    rules = (
        make_rule(1, to=(devs,)),
        make_rule(2, to=(ops, devs), when="identity.name == 'x'"),
        make_rule(3, to=(SubjectKey("user", "al"),)),
        make_rule(4, effect=DENY, to=(SubjectKey("user", "al"),), when="identity.name == 'x'"),
    )
    answers = who_can(PolicySet(rules), push("a"), {})
    named = [[str(answer.who) for answer in some] for some in (answers.allowed, answers.perhaps, answers.denied)]
    assert named == [["group devs"], ["group ops", "user al"], []]


def test_an_allow_for_an_address_is_none_without_a_request(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nrules:\n  - name: office\n    allow: [push]\n    to: {everyone: true}\n"
        "    on: {repositories: ['**']}\n    when: request.tls && request.address.inNetwork('10.0.0.0/8')\n"
        "  - name: not at home\n    deny: [overwrite]\n    to: {everyone: true}\n"
        "    on: {repositories: ['**']}\n    when: request.address.inNetwork('10.9.0.0/16')\n",
        encoding="utf-8",
    )
    policies, elsewhere = Policies(path), RequestFacts("192.0.2.1", tls=True)
    assert policies.granted(CI, [push("a")], REQUEST) == {push("a")}
    assert policies.decide(CI, push("a"), REQUEST).allowed
    assert policies.granted(CI, [push("a")], elsewhere) == frozenset()
    assert policies.granted(CI, [push("a")]) == frozenset()
    for request, is_allowed in ((REQUEST, True), (RequestFacts("10.9.0.1"), False), (None, False)):
        assert policies.decide_served(CI, Action.OVERWRITE, "a", None, request).allowed is is_allowed
    (explanation,) = explain(policies.current, CI, push("a"), request=elsewhere)
    assert [near.why_not for near in explanation.near] == ["its condition does not hold"]
