"""A pod of one container, run by docker: its image, variables, account, volumes and rights as the Deployment has them.

There is no cluster here. What stays different: a claim is a volume of docker's, an emptyDir a tmpfs, and a ConfigMap or
Secret a folder whose files have the mode that it asks for and belong to `fsGroup`.
"""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.deploy.kustomization import Object

Objects = dict[tuple[str, str], Object]


def docker_options(deployment: Object, objects: Objects, folder: Path) -> list[str]:
    """What stands between `docker run` and the image."""
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    account, rights = spec["securityContext"], container["securityContext"]
    # The restricted pod security standard, which the namespace enforces; docker has the default profile by itself.
    assert account["runAsNonRoot"]
    assert account["seccompProfile"] == {"type": "RuntimeDefault"}
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["allowPrivilegeEscalation"] is False
    options = ["--user", f"{account['runAsUser']}:{account['runAsGroup']}", "--security-opt", "no-new-privileges"]
    options += ["--cap-drop", "ALL", *(["--read-only"] if rights["readOnlyRootFilesystem"] else [])]
    options += [word for entry in container["env"] for word in ("-e", f"{entry['name']}={entry['value']}")]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in container["volumeMounts"]:
        options += _mount(volumes[mount["name"]], mount, objects, folder, account["fsGroup"])
    return options


def _mount(volume: Object, mount: Object, objects: Objects, folder: Path, group: int) -> list[str]:
    if "emptyDir" in volume:
        return ["--tmpfs", mount["mountPath"]]
    if claim := volume.get("persistentVolumeClaim"):
        assert ("PersistentVolumeClaim", claim["claimName"]) in objects
        return ["-v", f"pod-{claim['claimName']}:{mount['mountPath']}"]
    assert mount["readOnly"]
    here = folder / volume["name"]
    here.mkdir()
    source = volume.get("projected") or volume
    mode = (volume.get("secret") or volume.get("projected") or {}).get("defaultMode", 0o644)
    for part in source.get("sources", [volume]):
        for name, content in _content(part, objects):
            (here / name).write_bytes(content)
            (here / name).chmod(mode)
            os.chown(here / name, 0, group)
    return ["-v", f"{here}:{mount['mountPath']}:ro"]


def _content(part: Object, objects: Objects) -> Iterator[tuple[str, bytes]]:
    """The files of a ConfigMap or Secret: all of them, or those of `items`."""
    kind, key = ("Secret", "secret") if "secret" in part else ("ConfigMap", "configMap")
    named: dict[str, Any] = part[key]
    data = objects[kind, named.get("name") or named["secretName"]]["data"]
    items = named.get("items") or [{"key": name, "path": name} for name in data]
    for item in items:
        text = data[item["key"]]
        yield item["path"], base64.b64decode(text) if kind == "Secret" else text.encode()
