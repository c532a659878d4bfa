"""`authproxy doctor --upstream`: what is wrong with the registries behind us."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from authproxy.cli.doctor.findings import line_of, row_of
from authproxy.cli.doctor.our_tokens import read_ours
from authproxy.cli.json_output import in_json
from authproxy.cli.settings import find_told, load_found, realm_of
from authproxy.config.settings import Settings
from authproxy.doctor.finding import Finding, Level, conclude
from authproxy.doctor.upstream.admission import Clients
from authproxy.doctor.upstream.examine import UpstreamOptions, examine
from authproxy.doctor.upstream.presented import needs_our_keys
from authproxy.doctor.upstream.site import Site, sites_of


@dataclass(frozen=True, slots=True)
class UpstreamReport:
    """The findings about one upstream."""

    site: Site
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Level:
        """Whether anything is wrong with it."""
        return conclude(self.findings)


def examine_upstreams(config: Path | None, options: UpstreamOptions, host: str | None, *, as_json: bool) -> Level:
    """Ask every upstream of our configuration, print the findings, and return the verdict. Raises StartError.

    `host`: scheme and host that clients use for us, if `http.host` has none.
    """
    now = time.time()
    found = find_told(config)
    loaded = load_found(found)
    sites = [replace(site, public=host) if host else site for site in sites_of(loaded, has_file=found.file is not None)]
    clients = _clients(loaded.settings, host)
    has_ours = any(needs_our_keys(site, clients.mode) for site in sites)
    ours = read_ours(loaded.settings, now) if has_ours else None
    reports = [UpstreamReport(site, asyncio.run(examine(site, clients, ours, options, now))) for site in sites]
    verdict = conclude([finding for report in reports for finding in report.findings])
    typer.echo(_as_json(loaded.origin, reports, verdict) if as_json else _in_words(loaded.origin, reports))
    return verdict


def _clients(settings: Settings, host: str | None) -> Clients:
    if settings.token is not None:
        return Clients(settings.mode, realm_of(settings, settings.token, host))
    if settings.auth is not None and settings.auth.token is not None:
        return Clients(settings.mode, settings.auth.token.realm)
    return Clients(settings.mode)


def _in_words(origin: str, reports: Sequence[UpstreamReport]) -> str:
    lines: list[str] = []
    for report in reports:
        where = ", ".join(address.url for address in report.site.addresses)
        lines.append(f"{origin}: {report.site.key}, {where}: {report.verdict.value}")
        lines += map(line_of, report.findings)
    return "\n".join(lines)


def _as_json(origin: str, reports: Sequence[UpstreamReport], verdict: Level) -> str:
    content = {
        "config": origin,
        "verdict": verdict.value,
        "upstreams": [
            {
                "upstream": report.site.key,
                "addresses": [address.url for address in report.site.addresses],
                "verdict": report.verdict.value,
                "findings": [row_of(finding) for finding in report.findings],
            }
            for report in reports
        ],
    }
    return in_json(content)
