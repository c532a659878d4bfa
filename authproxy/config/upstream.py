"""`upstream`: another registry behind this edge. All of it is ours."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from authproxy.config.explain import conflict
from authproxy.config.scalars import BaseUrl
from authproxy.config.schema import Section


class Upstream(Section):
    """Another registry behind this edge, in place of `storage`."""

    url: BaseUrl
    """Scheme, host and port of the registry: `http://127.0.0.1:5001`."""

    authorization: Literal["strip", "pass"] = "strip"
    """Whether the client's `Authorization` header goes on to the upstream: `strip` or `pass`. Default `strip`: what
    proves a caller to us is nothing that the upstream should hold."""

    ca: Path | None = None
    """A PEM file of the authorities that may sign the upstream's certificate, for `https` alone. Default: those that
    the machine trusts."""

    @model_validator(mode="after")
    def _ca_is_for_tls(self) -> Self:
        if self.ca is not None and not self.url.startswith("https:"):
            raise conflict("an authority is of no use to an http upstream; use https or remove ca", ("url",), ("ca",))
        return self
