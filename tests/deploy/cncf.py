"""The command lines of CNCF Distribution's documentation (`docs/content/about/deploying.md`), as they stand there."""

import shlex
from pathlib import Path

REGISTRY = "registry:3"

PLAIN = """\
docker run -d -p 5000:5000 --restart=always --name registry registry:3
"""

ANOTHER_PORT = """\
docker run -d \\
  -e REGISTRY_HTTP_ADDR=0.0.0.0:5001 \\
  -p 5001:5001 \\
  --name registry-test \\
  registry:3
"""

DATA_FOLDER = """\
docker run -d \\
  -p 5000:5000 \\
  --restart=always \\
  --name registry \\
  -v /mnt/registry:/var/lib/registry \\
  registry:3
"""

TLS = """\
docker run -d \\
  --restart=always \\
  --name registry \\
  -v "$(pwd)"/certs:/certs \\
  -e REGISTRY_HTTP_ADDR=0.0.0.0:443 \\
  -e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/domain.crt \\
  -e REGISTRY_HTTP_TLS_KEY=/certs/domain.key \\
  -p 443:443 \\
  registry:3
"""

PASSWORDS = """\
docker run -d \\
  -p 5000:5000 \\
  --restart=always \\
  --name registry \\
  -v "$(pwd)"/auth:/auth \\
  -e "REGISTRY_AUTH=htpasswd" \\
  -e "REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm" \\
  -e REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd \\
  -v "$(pwd)"/certs:/certs \\
  -e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/domain.crt \\
  -e REGISTRY_HTTP_TLS_KEY=/certs/domain.key \\
  registry:3
"""

# `docs/content/about/configuration.md`, "Overriding the entire configuration file", in 2.8 and in 3.0.
CONFIGURATIONS = [
    """\
docker run -d -p 5000:5000 --restart=always --name registry \\
             -v `pwd`/config.yml:/etc/docker/registry/config.yml \\
             registry:2
""",
    """\
docker run -d -p 5000:5000 --restart=always --name registry \\
             -v `pwd`/config.yml:/etc/distribution/config.yml \\
             registry:3
""",
]

SERVICE = """\
docker service create \\
  --name registry \\
  --secret domain.crt \\
  --secret domain.key \\
  --constraint 'node.labels.registry==true' \\
  --mount type=bind,src=/mnt/registry,dst=/var/lib/registry \\
  -e REGISTRY_HTTP_ADDR=0.0.0.0:443 \\
  -e REGISTRY_HTTP_TLS_CERTIFICATE=/run/secrets/domain.crt \\
  -e REGISTRY_HTTP_TLS_KEY=/run/secrets/domain.key \\
  --publish published=443,target=443 \\
  --replicas 1 \\
  registry:3
"""


def words(line: str, image: str, folder: Path) -> list[str]:
    """The words of a line behind `docker`, with another image's name, typed in `folder`, where /mnt/registry is too."""
    here = line.replace("\\\n", " ").replace("`pwd`", "$(pwd)").replace("/mnt/registry", "$(pwd)/registry")
    docker, *rest, name = [word.replace("$(pwd)", str(folder)) for word in shlex.split(here)]
    assert (docker, name.partition(":")[0]) == ("docker", "registry"), line
    return [*rest, image]
