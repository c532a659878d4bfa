"""What keeps this node from serving, as anybody may read it at /readyz: the logs and the debug port say more."""

from collections.abc import Sequence

from authproxy.edge.maintenance import Maintenance
from authproxy.edge.probes import Reasons
from authproxy.wiring.lifespan import Parts


def make_reasons(parts: Parts, maintenance: Maintenance | None) -> Reasons:
    """Asked for each probe: cheap, and about this process alone."""

    def reasons() -> Sequence[str]:
        found = [
            f"{name} could not be looked at for {age_s:.0f} seconds; the log says why"
            for name, age_s in parts.watch.overdue().items()
        ]
        if maintenance is not None and maintenance.reason is not None:
            found.append("maintenance")
        if parts.checks.failing:
            found.append("a health check fails; /debug/health on the debug port says which")
        if parts.drain.has_begun:
            found.append("this node has been asked to end")
        return found

    return reasons
