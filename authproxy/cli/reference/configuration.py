"""The page docs/reference/configuration.md, made from the docstrings of the settings and the table of unsupported keys.

python -m authproxy.cli.reference.configuration > docs/reference/configuration.md
"""

import inspect
from collections.abc import Iterator

import typer
from pydantic import BaseModel

from authproxy.config.deprecated import RENAMED
from authproxy.config.document.messages import dotted
from authproxy.config.document.schema import below, describe, fields_of, section_of
from authproxy.config.document.tree import KeyPath
from authproxy.config.settings import Settings
from authproxy.config.unsupported import UNSUPPORTED

INTRODUCTION = """\
# Configuration

`authproxy serve CONFIG` reads the `config.yml` of CNCF Distribution (`version: 0.1`) without change, and our own
sections `token`, `state`, `identities`, `policies`, `audit`, `limits`, `upstream` and `upstreams` in it.

Every command reads the first of these, and says on its first line which one that is:

1. the file that is named, as an argument or with `--config`
2. the file that `REGISTRY_CONFIGURATION_PATH` names
3. the embedded default, if `data/htpasswd` exists in the current folder, or in `AUTHPROXY_HOME` if that is set
4. `/etc/distribution/config.yml`, else `/etc/docker/registry/config.yml`

`serve` needs `--embedded` for the embedded default. Without it, `serve` refuses to start if both 3 and 4 exist and no
file is named. The first line is on standard error, for `serve` on standard output; `health` prints it only if it fails.

This page is made from the code: `python -m authproxy.cli.reference.configuration`.

## Reading the file

- An unknown key is an error, with its file, line and the allowed keys. So is a duplicate key.
- Booleans are `true`, `false`, `yes`, `no`, `on`, `off`. Durations are Go's: `300ms`, `5s`, `1h30m`. Sizes
  are bytes or have a unit: `64KiB`, `100MiB`, `1GB`.
- An empty value counts as absent; an empty section has its defaults, and lacks the keys that have none.
- Paths are relative to the folder in which the program was started.
- Anchors, aliases and merge keys (`<<`) work.

## Variables

`REGISTRY_` and the path of a key in upper case, `_` between its parts, replaces the key: `REGISTRY_HTTP_ADDR=:5001`,
`REGISTRY_IDENTITIES_0_HTPASSWD_PATH=users`. The value is YAML: `REGISTRY_AUTH="{htpasswd: {realm: r, path: p}}"` works,
and `REGISTRY_HTTP_ADDR='"[::1]:5000"'` needs its inner quotes. Variables are applied in the order of their names; the
index of a list may be the next one that it does not have yet. A warning names variables that match no key.

## Values in files

A variable with `_FILE` after its name names a file that contains the value, as for a Docker secret:
`REGISTRY_HTTP_SECRET_FILE=/run/secrets/http_secret`. The content counts literally, without its last newline; for a list
or a map it is YAML; sections have no `_FILE`. So a secret need not be in the environment, where `docker inspect` shows
it.

- A variable together with its `_FILE` is an error, and so is a file that is empty or cannot be read.
- A key that is itself a path has no `_FILE`: `REGISTRY_HTTP_TLS_KEY=/run/secrets/domain.key`.
- A key whose own name ends in `file` takes precedence: `REGISTRY_AUDIT_FILE` is `audit.file`, and
  `REGISTRY_HTTP_MAINTENANCE_FILE` is `http.maintenance.file`.
- The file is read at the start. `authproxy config show` names variable and file, and hides secrets.

## Modes

| configured | mode | meaning |
|---|---|---|
| neither `auth` nor `token`, or `auth: none` | open | no caller is identified; without `auth: none` a warning says so |
| `auth.htpasswd` | basic | Basic credentials on every request; every user may do everything unless `policies` is set |
| `auth.token` | verify | tokens of another token server |
| `auth.silly` | silly | a client that sends any `Authorization` header may do everything; for tests |
| `token` (and `auth.htpasswd` as one more identity source) | issue | our own tokens, by `policies` |

`token` together with `auth.token` is an error, and so is a section that would have no effect in its mode: `identities`
and `policies` in open, silly and verify, `audit` in open and silly.

## Keys
"""

_UNSUPPORTED_INTRODUCTION = """\
## Keys of CNCF Distribution that are not in force here

`authproxy config check` names those that a file has. A row covers the key and everything below it. A value that asks
only for what holds anyway, such as `http2: {disabled: true}`, is ignored without a warning.

### These stop the start

Without them the registry would be weaker than its file says, or keep its content or send its users elsewhere.
"""

_TABLE = "\n| key | here |\n|---|---|"
_RENAMED_TABLE = "\n| old | new |\n|---|---|"


def page() -> str:
    """The whole page."""
    return (
        "\n".join([INTRODUCTION, *_section(Settings, ()), _UNSUPPORTED_INTRODUCTION.rstrip(), *_unsupported()]) + "\n"
    )


def _section(section: type[BaseModel], path: KeyPath) -> Iterator[str]:
    for key, field in fields_of(section).items():
        here = (*path, key)
        inner = section_of(field.annotation)
        item = section_of(below(field.annotation, 0))
        about = describe(section, (key,)) or (inspect.getdoc(inner) if inner else None) or ""
        yield f"### `{dotted(here)}`\n\n{about}\n"
        if not inner:
            needed = "Needed. " if field.is_required() else ""
            yield f"{needed}Variable: `REGISTRY_{'_'.join(map(str, here)).upper()}`\n"
        if inner:
            yield from _section(inner, here)
        if item:
            yield from _section(item, (*here, "N"))


def _unsupported() -> Iterator[str]:
    yield _TABLE
    yield from (f"| `{row.key}` | {row.here} |" for row in UNSUPPORTED if row.stops)
    yield f"\n### These are named in one warning\n{_TABLE}"
    yield from (f"| `{row.key}` | {row.here} |" for row in UNSUPPORTED if not row.stops)
    yield f"\n### These have a new name\n\nAn old one counts if the new one is not set.\n{_RENAMED_TABLE}"
    yield from (f"| `{dotted(old)}` | `{dotted(new)}` |" for old, new in RENAMED)


if __name__ == "__main__":
    typer.echo(page(), nl=False)
