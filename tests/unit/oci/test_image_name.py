import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.oci.image_name import ImageName, parse_image_name

HEX = "0123456789abcdef" * 4

# What docker makes of what people write: (text, host, repository, tag or digest, the name in full).
NAMES = [
    ("alpine", "docker.io", "library/alpine", "latest", "docker.io/library/alpine:latest"),
    ("team/app", "docker.io", "team/app", "latest", "docker.io/team/app:latest"),
    ("docker.io/alpine:3.20", "docker.io", "library/alpine", "3.20", "docker.io/library/alpine:3.20"),
    ("index.docker.io/team/app:v1", "docker.io", "team/app", "v1", "docker.io/team/app:v1"),
    ("localhost/app", "localhost", "app", "latest", "localhost/app:latest"),
    ("localhost:5000/team/app:v1", "localhost:5000", "team/app", "v1", "localhost:5000/team/app:v1"),
    ("ghcr.io/owner/app", "ghcr.io", "owner/app", "latest", "ghcr.io/owner/app:latest"),
    ("registry:5000/app:v1", "registry:5000", "app", "v1", "registry:5000/app:v1"),
    ("[::1]:5000/app:v1", "[::1]:5000", "app", "v1", "[::1]:5000/app:v1"),
    ("[fd00::2]/team/app", "[fd00::2]", "team/app", "latest", "[fd00::2]/team/app:latest"),
    (f"a.b/c@sha256:{HEX}", "a.b", "c", f"sha256:{HEX}", f"a.b/c@sha256:{HEX}"),
    (f"a.b/c:v1@sha256:{HEX}", "a.b", "c", f"sha256:{HEX}", f"a.b/c:v1@sha256:{HEX}"),
]


@pytest.mark.parametrize(("text", "host", "repository", "reference", "full"), NAMES, ids=[row[0] for row in NAMES])
def test_name_is_read_as_docker_reads_it(text: str, host: str, repository: str, reference: str, full: str) -> None:
    name = parse_image_name(text)
    assert (name.host, name.repository, name.reference, str(name)) == (host, repository, reference, full)
    assert parse_image_name(full) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not an image name"),
        ("Upper/app", "is not an image name"),
        ("a.b/app:", "is not an image name"),
        ("a.b/app:bad tag", "is not an image name"),
        ("a.b/app@sha256:12", "is not an image name"),
        ("a..b/app", "'a..b' is not a host"),
        ("a.b:port/app", "'a.b:port' is not a host"),
        ("a.b:70000/app", "'a.b:70000' is not a host"),
        ("[::1/app", "'[::1' is not a host"),
        ("a.b/x?y=1", "is not an image name"),
        ("a.b/../app", "is not an image name"),
    ],
)
def test_what_is_no_name_is_told_in_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="is not an image name") as caught:
        parse_image_name(text)
    assert why in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"[a-z.\[\]:/@-]{0,40}", fullmatch=True))
def test_any_text_is_a_name_that_reads_the_same_again_or_a_sentence(text: str) -> None:
    try:
        name = parse_image_name(text)
    except ValueError as error:
        assert "is not an image name" in str(error)
    else:
        assert isinstance(name, ImageName)
        assert parse_image_name(str(name)) == name
