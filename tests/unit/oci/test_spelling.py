"""How skopeo, crane, docker and people spell registries and images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.oci.image_name import parse_image_name
from authproxy.oci.spelling import plain, plain_path
from authproxy.registry_client.host import parse_host

HEX = "0123456789abcdef" * 4

# (what is written, the name in full)
IMAGES = [
    ("docker://busybox", "docker.io/library/busybox:latest"),
    ("docker://a.b/c:t", "a.b/c:t"),
    ("docker://[::1]:5000/a:t", "[::1]:5000/a:t"),
    (f"docker://busybox@sha256:{HEX}", f"docker.io/library/busybox@sha256:{HEX}"),
    ("library/busybox", "docker.io/library/busybox:latest"),
    ("docker.io/busybox", "docker.io/library/busybox:latest"),
    ("index.docker.io/library/busybox:1", "docker.io/library/busybox:1"),
    ("registry-1.docker.io/team/app", "docker.io/team/app:latest"),
    ("https://a.b/c:t", "a.b/c:t"),
    ("http://localhost:5000/c", "localhost:5000/c:latest"),
    ("HTTPS://A.B/c", "a.b/c:latest"),
    ("oci://a.b/chart:1", "a.b/chart:1"),
    ("Registry.Example.ORG/app", "registry.example.org/app:latest"),
    ("LOCALHOST/app", "localhost/app:latest"),
    ("  a.b/c:t\n", "a.b/c:t"),
    (f"a.b:5000/c@sha256:{HEX}", f"a.b:5000/c@sha256:{HEX}"),
    (f"a.b/c:t@sha256:{HEX}", f"a.b/c:t@sha256:{HEX}"),
    ("oci:5000/app", "oci:5000/app:latest"),
    ("[FD00::1]/app:T", "[fd00::1]/app:T"),
]

# (what is written, what the answer says)
NO_IMAGES = [
    ("oci:folder:tag", "`authproxy images push FILE DST` reads one, `images pull REF -o FILE` writes one"),
    ("oci-archive:/tmp/x.tar:t", "is in a file"),
    ("docker-archive:x.tar", "is in a file"),
    ("dir:/tmp/x", "skopeo copy dir:… oci:FOLDER"),
    ("docker-daemon:app:v1", "`authproxy images push --docker`"),
    ("containers-storage:app", "podman save"),
    ("alice:secret@a.b/c", "write a.b/c with --user USER"),
    ("https://alice:secret@a.b/c", "write a.b/c with --user USER"),
    ("::1/app", "write an IPv6 address in brackets: [::1]/app"),
    ("fd00::1:5000/app:v1", "write an IPv6 address in brackets"),
    ("https://a.b/v2/team/app/manifests/v1", "write a.b/team/app:TAG"),
    ("https://a.b/v2/team/app/tags/list", "write a.b/team/app:TAG"),
    ("https://hub.docker.com/r/team/app", "write docker.io/team/app"),
    ("https://hub.docker.com/_/alpine", "write docker.io/alpine"),
    ("a.b/", "it is a registry; write a.b/REPOSITORY:TAG"),
    ("https://a.b/", "it is a registry; write a.b/REPOSITORY:TAG"),
    ("docker://", "is not an image name"),
    ("a.b /c", "'a.b ' is not a host"),
    ("a.b/c d", "is not an image name"),
    ("a.b:/c", "'a.b:' is not a host"),
    ("[::1/c", "'[::1' is not a host"),
]

REGISTRIES = [
    ("a.b", "a.b"),
    ("A.B:5000", "a.b:5000"),
    ("docker://a.b", "a.b"),
    ("https://a.b", "a.b"),
    ("http://a.b:5000/", "a.b:5000"),
    ("https://a.b/v2/", "a.b"),
    ("https://index.docker.io/v1/", "docker.io"),
    ("registry-1.docker.io", "docker.io"),
    (" a.b/\n", "a.b"),
    ("[::1]:5000", "[::1]:5000"),
    ("[FD00::1]", "[fd00::1]"),
    ("oci:5000", "oci:5000"),
    ("Registry", "registry"),
]

NO_REGISTRIES = [
    ("alice:secret@a.b", "write a.b with --user USER"),
    ("::1", "an IPv6 address in brackets"),
    ("a:5000:1", "an IPv6 address in brackets"),
    ("oci:folder", "is in a file"),
    ("docker-daemon:", "is in the local docker daemon"),
    ("a.b/c", "is not a registry; write its host"),
    ("https://", "is not a registry"),
    ("a b", "is not a registry"),
    ("ftp://a.b", "is not a registry"),
    ("hub.docker.com", "write docker.io"),
]


@pytest.mark.parametrize(("text", "full"), IMAGES, ids=[row[0] for row in IMAGES])
def test_image_is_understood(text: str, full: str) -> None:
    assert str(parse_image_name(text)) == full


@pytest.mark.parametrize(("text", "why"), NO_IMAGES, ids=[row[0] for row in NO_IMAGES])
def test_what_is_no_image_is_refused_with_the_right_spelling(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_image_name(text)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("text", "host"), REGISTRIES, ids=[row[0] for row in REGISTRIES])
def test_registry_is_understood(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(("text", "why"), NO_REGISTRIES, ids=[row[0] for row in NO_REGISTRIES])
def test_what_is_no_registry_is_refused_with_the_right_spelling(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_host(text)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


PATHS = [
    ("oci:folder:tag", "write only the path, folder"),
    ("docker-archive:x.tar", "write only the path, x.tar"),
    ("docker-daemon:app:v1", "write --docker and only the name, app:v1"),
    ("dir:x", "is a folder of skopeo's"),
]


@pytest.mark.parametrize(("text", "why"), PATHS)
def test_path_is_written_alone(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        plain_path(text, exists=False)
    assert plain_path(text, exists=True) == text


@given(st.text(max_size=60) | st.from_regex(r"[a-zA-Z.\[\]:/@ -]{0,40}", fullmatch=True))
def test_any_text_is_plain_or_a_sentence(text: str) -> None:
    try:
        bare = plain(text)
    except ValueError as error:
        assert str(error)
    else:
        assert bare == bare.strip()
