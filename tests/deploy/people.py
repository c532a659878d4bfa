"""What somebody does with a registry that was just put up, and what its operator has to have ready."""

import shutil
from pathlib import Path

import bcrypt
import trustme

from tests.support.daemon import Docker

# Who the image's server is, where nothing keeps it root.
ACCOUNT = 65532
USER, PASSWORD = "testuser", "testpassword"
REPOSITORY = "batman/ubuntu"


def push_and_pull(docker: Docker, host: str, user: str | None = None, password: str = PASSWORD) -> None:
    """Log in where that is wanted, push an image, remove it, and pull it."""
    name = f"{host}/{REPOSITORY}:1"
    docker.make_image(name, f"of {host}")
    if user is not None:
        assert docker("push", name).code != 0, "nobody has logged in"
        login = docker.login(host, user, password)
        assert "Login Succeeded" in login.text, str(login)
    try:
        docker.must("push", name)
        docker.must("rmi", name)
        docker.must("pull", name)
    finally:
        docker("logout", host)
        docker("rmi", "--force", name)


def write_certificate(folder: Path, owner: int = 0) -> None:
    """`domain.crt` and `domain.key` for localhost; the key is its owner's alone, as most keys are kept."""
    folder.mkdir(exist_ok=True)
    issued = trustme.CA().issue_cert("localhost")
    (folder / "domain.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key = folder / "domain.key"
    key.touch(mode=0o600)
    key.write_bytes(issued.private_key_pem.bytes())
    shutil.chown(key, owner, owner)


def write_passwords(folder: Path) -> None:
    """`htpasswd` with one user, as `htpasswd -Bbn testuser testpassword` writes it."""
    folder.mkdir(exist_ok=True)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, prefix=b"2b")).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
