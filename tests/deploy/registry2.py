"""An image named registry:2, where none can be pulled: Debian's CNCF Distribution 2.8 on the base of ours."""

from pathlib import Path

from tests.deploy.conftest import Built
from tests.support.binaries import binary
from tests.support.program import environment, succeed

# As the image of CNCF Distribution 2.8 has it: its program and where its configuration lies.
REGISTRY_2 = """\
FROM {base}
COPY docker-registry /usr/bin/registry
COPY config.yml /etc/docker/registry/config.yml
VOLUME ["/var/lib/registry"]
EXPOSE 5000
HEALTHCHECK NONE
ENTRYPOINT ["/bin/registry"]
CMD ["serve", "/etc/docker/registry/config.yml"]
"""
REGISTRY_2_CONFIG = """\
version: 0.1
log: {fields: {service: registry}}
storage: {cache: {blobdescriptor: inmemory}, filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000", headers: {X-Content-Type-Options: [nosniff]}}
"""


def make_registry_2(built: Built, folder: Path) -> None:
    """Build it in an empty folder."""
    folder.mkdir()
    (folder / "docker-registry").write_bytes(Path(binary("docker-registry")).read_bytes())
    (folder / "docker-registry").chmod(0o755)
    (folder / "config.yml").write_text(REGISTRY_2_CONFIG)
    (folder / "Dockerfile").write_text(REGISTRY_2.format(base=built.image))
    env = environment(built.docker.home, DOCKER_HOST=built.daemon.socket, DOCKER_BUILDKIT="0")
    succeed(binary("docker"), "build", "--network", "none", "-t", "registry:2", ".", env=env, cwd=folder)
