from pathlib import Path

import pytest
import trustme

from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.trust import Trust, authority_files, tls_context


def test_the_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.example").mkdir()
    trustme.CA().cert_pem.write_to_path(tmp_path / "a.example/a.crt")
    (tmp_path / "a.example/b.crt").write_text("none")
    with pytest.raises(RegistryClientError, match=r"a\.example: a certificate cannot be read: b\.crt: NO_CERT"):
        tls_context("a.example", Trust(certificates=tmp_path))
    with pytest.raises(
        RegistryClientError, match=r"absent\.pem: a certificate cannot be read: No such file or directory"
    ):
        tls_context("b.example", Trust(ca=tmp_path / "absent.pem", certificates=tmp_path))


def test_the_files_of_a_host_come_behind_the_one_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "a.example").mkdir()
    for name in ("b.crt", "a.crt", "c.cert"):
        (tmp_path / "a.example" / name).touch()
    trust = Trust(ca=tmp_path / "ca.pem", certificates=tmp_path)
    assert [file.name for file in authority_files("a.example", trust)] == ["ca.pem", "a.crt", "b.crt"]
    assert authority_files("b.example", Trust(certificates=tmp_path)) == []
