"""`authproxy key …`: the keys that sign tokens; a running server sees a change within two seconds."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authproxy.cli.audited import record_change
from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.json_output import AsJson
from authproxy.cli.settings import ConfigOption, find_loaded, realm_of, token_of
from authproxy.errors import StartError
from authproxy.program import command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authproxy.config.sections.token import Token
    from authproxy.config.settings import Settings
    from authproxy.token.jose_header import HeaderStyle
    from authproxy.token.keyfiles import RingKey

app = Commands()

_KEY_SETS = "registries that read our key set (jwks) refuse its tokens for up to five minutes, until they read it again"
_BY_CERTIFICATE = (
    "registries that hold our bundle (rootcertbundle) refuse nothing, as tokens bring a certificate of our authority;"
    " verifiers of others that keep our key set may refuse its tokens for up to five minutes, until they read it again"
)


def affected(x5c: str) -> str:
    """Who refuses tokens of a key that signs at once, by `token.x5c`."""
    if x5c != "none":
        return _BY_CERTIFICATE
    return (
        f"{_KEY_SETS}; those that hold a bundle refuse them until they have the new one"
        f" ({command('key export --for distribution')}) and were started again"
    )


@app.callback()
def key() -> None:
    """The keys that sign tokens: list, rotate, retire, export."""


@app.command("list", epilog=examples("authproxy key list", "authproxy key list --json --config config.yml"))
def list_keys(as_json: AsJson = False, config: ConfigOption = None) -> None:
    """List the keys: which one signs, which ones verify, and until when."""
    rows = _rows(_read(token_of(find_loaded(config).settings).keys), time.time())
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['kid']}  {row['alg']}  {_in_words(row)}")


@app.command(epilog=examples("authproxy key rotate", "authproxy key rotate --now"))
def rotate(
    now: Annotated[
        bool, typer.Option("--now", help="Don't wait for verifiers that keep a key set, only for our own nodes.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Add a key that signs as soon as everybody can know it; the older ones go on verifying."""
    from authproxy.token.keyfiles import format_moment
    from authproxy.token.rotation import rotate

    settings = find_loaded(config).settings
    token = token_of(settings)
    with _usable(token.keys):
        key = rotate(token.keys, token.algorithm, now=time.time(), for_nodes_alone=now)
    change = f"added {key.kid} ({key.algorithm}), which signs from {format_moment(key.signs_from)} on"
    record_change(change, settings)
    if as_json:
        typer.echo(json.dumps(_row(key, "waits"), indent=2))
        return
    typer.echo(change)
    if now:
        typer.echo(f"note: {affected(token.x5c)}")


@app.command(
    epilog=examples(
        "authproxy key retire tsqBHiusgahqS9sm4zpekcKxbbVbHA3gcRE-l8fRJGE",
        "authproxy key retire tsqBHiusgahqS9sm4zpekcKxbbVbHA3gcRE-l8fRJGE --now",
    )
)
def retire(
    kid: Annotated[str, typer.Argument(help="The key, as `authproxy key list` names it.")],
    after: Annotated[
        str | None,
        typer.Option(help="How long its tokens are good still, such as 1h. Default: until the last one has expired."),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Refuse its tokens at once: for a key that was stolen.")] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Take a key out of use: it signs no more, and its tokens are refused once none of them can be left."""
    from authproxy.token.keyfiles import format_moment
    from authproxy.token.rotation import outlives, retire

    if now and after is not None:
        raise StartError("--now and --after exclude each other")
    settings = find_loaded(config).settings
    token = token_of(settings)
    default_s = outlives(token.lifetime.total_seconds())
    after_s = 0.0 if now else _parse_wait(after).total_seconds() if after is not None else default_s
    with _usable(token.keys):
        retired = retire(token.keys, kid, now=time.time(), after_s=after_s)
    moment = format_moment(retired.moment)
    change = f"{kid} signs no more; tokens that it signed are refused from {moment} on"
    record_change(change, settings)
    if as_json:
        typer.echo(json.dumps({"kid": kid, "retired": moment, "signing": retired.signing}, indent=2))
        return
    typer.echo(change)
    typer.echo(f"{retired.signing} signs")
    if after_s < default_s:
        typer.echo("note: that is before the last of them expires; clients that hold one have to fetch another")


class Verifiers(Enum):
    """For whom keys are exported."""

    DISTRIBUTION = "distribution"


@app.command(
    epilog=examples("authproxy key export > jwks.json", "authproxy key export --for distribution --output bundle.pem")
)
def export(
    verifiers: Annotated[
        Verifiers | None, typer.Option("--for", help="A bundle and lines of configuration for CNCF Distribution.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The bundle's file.")] = Path("authproxy-bundle.pem"),
    config: ConfigOption = None,
) -> None:
    """Print the public keys as a key set, as /.well-known/jwks.json has them; or hand them over to a registry."""
    from authproxy.token.keyring import key_set

    settings = find_loaded(config).settings
    token = token_of(settings)
    keys = _read(token.keys)
    if verifiers is None:
        typer.echo(json.dumps(key_set(keys, time.time(), _style(token)), indent=2))
    else:
        _hand_over(settings, token, keys, output)


def _hand_over(settings: "Settings", token: "Token", keys: "Mapping[str, RingKey]", output: Path) -> None:
    from authproxy.files.owner_rights import rights_at
    from authproxy.token.distribution_export import Verification, configuration_lines, lasting, make_bundle
    from authproxy.token.keyring import certified_ring

    now, style = time.time(), _style(token)
    with _usable(token.keys):
        keys = certified_ring(token.keys, keys, now)
    good = [key for key in keys.values() if not key.is_retired(now)]
    bundle = make_bundle(good, style)
    try:
        with rights_at(output):
            output.write_bytes(bundle)
    except OSError as exc:
        raise StartError(f"--output {output}: cannot be written: {exc.strerror}") from exc
    realm = realm_of(settings, token, "https://HOST")
    assert realm is not None, "there is a host"
    algorithms = {token.algorithm, *(key.algorithm for key in good)}
    typer.echo(f"# wrote {output}: {lasting(style)}\n")
    verification = Verification(realm, token.service, token.issuer, algorithms, style)
    typer.echo(configuration_lines(verification, output.name))
    if "//HOST/" in realm:
        typer.echo("# HOST is what clients call authproxy; replace it, or set http.host or token.realm")


def _rows(keys: "Mapping[str, RingKey]", now: float) -> list[dict[str, Any]]:
    """Every key with what it does now, the oldest first."""
    from authproxy.token.keyring import find_signing

    signing = find_signing(keys, now)

    def state(key: "RingKey") -> str:
        if key.is_retired(now):
            return "retired"
        if key is signing:
            return "signs"
        return "waits" if key.signs_from > now and key.retired is None else "verifies"

    return [_row(key, state(key)) for key in sorted(keys.values(), key=lambda key: (key.signs_from, key.kid))]


def _row(key: "RingKey", state: str) -> dict[str, Any]:
    from authproxy.token.keyfiles import format_moment

    return {
        "kid": key.kid,
        "fingerprint": key.fingerprint,
        "alg": key.algorithm,
        "state": state,
        "created": format_moment(key.created),
        "signs_from": format_moment(key.signs_from),
        "retired": None if key.retired is None else format_moment(key.retired),
    }


def _in_words(row: dict[str, Any]) -> str:
    match row:
        case {"state": "waits", "signs_from": moment}:
            return f"waits, signs from {moment} on"
        case {"state": "retired", "retired": moment}:
            return f"retired since {moment}"
        case {"state": state, "retired": None}:
            return str(state)
        case _:
            return f"{row['state']} until {row['retired']}"


def _style(token: "Token") -> "HeaderStyle":
    from authproxy.token.jose_header import HeaderStyle

    return HeaderStyle(token.kid, token.x5c)


def _read(folder: Path) -> "Mapping[str, RingKey]":
    from authproxy.token.keyring import read_ring

    with _usable(folder):
        return read_ring(folder, time.time())


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """What the system refuses, as one sentence."""
    try:
        yield
    except OSError as exc:
        raise StartError(
            f"token.keys: cannot use the folder {folder}: {exc.strerror} ({exc.filename}); run this as its owner"
        ) from exc


def _parse_wait(text: str) -> timedelta:
    from authproxy.config.document.scalars import parse_duration

    try:
        wait = parse_duration(text)
    except ValueError as exc:
        raise StartError(f"--after: {exc}") from exc
    if wait <= timedelta():
        raise StartError(f"--after {text}: not in the future; for at once there is --now")
    return wait
