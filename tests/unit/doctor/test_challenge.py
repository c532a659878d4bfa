import pytest

from authproxy.doctor.challenge import AuthRequirement, find_wanted

TOKENS = 'Bearer realm="https://auth.example/token",service="registry"'


@pytest.mark.parametrize(
    ("challenges", "wanted"),
    [
        (['Basic realm="Registry"'], AuthRequirement(("basic",))),
        (["basic"], AuthRequirement(("basic",))),
        ([TOKENS], AuthRequirement(("bearer",), "https://auth.example/token", "registry")),
        (['Bearer realm="https://auth.example"'], AuthRequirement(("bearer",), "https://auth.example", None)),
        ([TOKENS, "Basic realm=x"], AuthRequirement(("bearer", "basic"), "https://auth.example/token", "registry")),
        (["Negotiate"], AuthRequirement(("negotiate",))),
        (["Bearer"], None),
        (["", " "], None),
        ([], None),
    ],
    ids=repr,
)
def test_what_is_asked_for(challenges: list[str], wanted: AuthRequirement | None) -> None:
    assert find_wanted(challenges) == wanted


def test_it_reads_as_a_sentence() -> None:
    told = str(find_wanted([TOKENS, "Basic", "Negotiate"]))
    assert told == (
        "tokens of https://auth.example/token (service 'registry') or a name and a password (Basic)"
        " or credentials of the kind 'negotiate'"
    )
