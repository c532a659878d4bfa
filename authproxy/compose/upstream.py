"""The section `upstream` → the backend that is another registry."""

from authproxy.compose.parts import Parts
from authproxy.config.upstream import Upstream as Section
from authproxy.proxy.tls import TlsFiles
from authproxy.proxy.upstream import Upstream


def make_upstream(section: Section, parts: Parts) -> Upstream:
    """The upstream of a section; it is closed with `parts`. Raises StartError where a file of it cannot be used."""
    upstream = Upstream(section.url, pass_authorization=section.authorization == "pass", tls=TlsFiles(ca=section.ca))
    parts.closers.append(upstream.aclose)
    return upstream
