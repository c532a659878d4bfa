"""`authproxy images inspect`: the details of one image, as text or as JSON."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authproxy.cli.examples import examples
from authproxy.cli.registry_options import Ca, Json, PasswordStdin, PlainHttp, User, open_registries, parse_name
from authproxy.cli.registry_run import Report, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authproxy.images.details import Details, Variant
    from authproxy.images.registries import Registries
    from authproxy.oci.image_name import ImageName
    from authproxy.oci.manifest import Descriptor

EXAMPLES = examples(
    "authproxy images inspect r.example.org/team/app:v1",
    "authproxy images inspect --json r.example.org/app | jq .variants",
)

# The fields of a configuration that are shown.
_SHOWN = ("Entrypoint", "Cmd", "User", "WorkingDir", "ExposedPorts", "Volumes", "Env", "Labels")


def inspect(
    name: Annotated[str, typer.Argument(metavar="REF", help="An image, with its registry: host/repository:tag.")],
    *,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    as_json: Json = False,
) -> None:
    """Show an image: its digest, platforms, layers, configuration, and what refers to it (signatures, SBOMs)."""
    wanted = parse_name(name)
    registries = open_registries(user, ca, wanted.host, password_stdin=password_stdin, plain_http=plain_http)
    report = Report(as_json=as_json)
    run(_inspect(registries, wanted, report), report, name)


async def _inspect(registries: "Registries", name: "ImageName", report: Report) -> None:
    from authproxy.images.details import read_details

    async with registries:
        source = await registries.to_pull(name)
        details = await read_details(source, name.digest or name.reference)
        referrers = await source.referrers(details.manifest.digest)
    if report.as_json:
        typer.echo(json.dumps(_as_json(name, details, referrers), default=str))
        return
    for line in _in_words(name, details, referrers):
        report.say(line)


def _in_words(name: "ImageName", details: "Details", referrers: "tuple[Descriptor, ...]") -> "Iterator[str]":
    from authproxy.cli.output import in_words

    yield str(name)
    yield f"  digest      {details.manifest.digest}"
    yield f"  media type  {details.manifest.media_type}"
    yield f"  size        {in_words(details.size)}"
    for key, text in details.manifest.annotations.items():
        yield f"  annotation  {key}={text}"
    for variant in details.variants:
        yield ""
        yield from _variant(variant)
    if referrers:
        yield ""
        yield "referred to by"
        for referrer in referrers:
            yield f"  {referrer.digest}  {referrer.artifact_type or referrer.media_type}  {in_words(referrer.size)}"


def _variant(variant: "Variant") -> "Iterator[str]":
    from authproxy.cli.output import in_words

    what = str(variant.platform) if variant.platform else variant.manifest.artifact_type or "artifact"
    created = "" if variant.created is None else f", made {variant.created:%Y-%m-%d %H:%M}"
    yield f"{what}  {variant.manifest.digest}  {in_words(variant.size)}{created}"
    for layer in variant.manifest.layers:
        yield f"  layer       {layer.digest}  {in_words(layer.size)}"
    for key in _SHOWN:
        if value := variant.config.get(key):
            yield f"  {key.lower():<11} {_shown(value)}"


def _shown(value: Any) -> str:
    match value:
        case str():
            return value
        case dict():
            return ", ".join(f"{key}={text}" if text else str(key) for key, text in value.items())
        case _:
            return " ".join(map(str, value)) if isinstance(value, list) else json.dumps(value)


def _as_json(name: "ImageName", details: "Details", referrers: "tuple[Descriptor, ...]") -> "Mapping[str, Any]":
    return {
        "name": str(name),
        "digest": str(details.manifest.digest),
        "media_type": details.manifest.media_type,
        "size": details.size,
        "annotations": details.manifest.annotations,
        "variants": [
            {
                "platform": None if variant.platform is None else str(variant.platform),
                "digest": str(variant.manifest.digest),
                "size": variant.size,
                "created": variant.created,
                "layers": [{"digest": str(layer.digest), "size": layer.size} for layer in variant.manifest.layers],
                "config": variant.config,
            }
            for variant in details.variants
        ],
        "referrers": [
            {
                "digest": str(one.digest),
                "artifact_type": one.artifact_type,
                "media_type": one.media_type,
                "size": one.size,
            }
            for one in referrers
        ],
    }
