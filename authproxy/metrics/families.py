"""All metrics. Each has a heading in docs/reference/metrics.md, which a test checks.

Those that begin with `registry_http_` are CNCF Distribution's, with its labels, values and buckets (docker/go-metrics,
`handler.go`), so that its dashboards and alerts keep working. All Prometheus client libraries have `process_` metrics.
"""

from authproxy.metrics.numbers import Family, MetricKind

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
_BYTES = tuple(1024 * 2**power for power in range(22))  # 1 KiB to 2 GiB

REQUESTS = Family(
    "registry_http_requests_total",
    MetricKind.COUNTER,
    "Requests that have ended, by handler, method and status.",
    ("handler", "method", "code"),
)
DURATION = Family(
    "registry_http_request_duration_seconds",
    MetricKind.HISTOGRAM,
    "From the head of a request to the end of its response.",
    ("handler", "method"),
    _SECONDS,
)
REQUEST_SIZE = Family(
    "registry_http_request_size_bytes",
    MetricKind.HISTOGRAM,
    "Bytes of request bodies.",
    ("handler",),
    _BYTES,
)
RESPONSE_SIZE = Family(
    "registry_http_response_size_bytes",
    MetricKind.HISTOGRAM,
    "Bytes of response bodies.",
    ("handler",),
    _BYTES,
)
IN_FLIGHT = Family("registry_http_in_flight_requests", MetricKind.GAUGE, "Requests that are being answered now.")
TOKEN_ANSWERS = Family(
    "authproxy_token_answers_total",
    MetricKind.COUNTER,
    "Responses of /token, by result.",
    ("result",),
    shown=(("granted",), ("refused",), ("malformed",), ("throttled",), ("failed",)),
)
LOGINS = Family(
    "authproxy_logins_total",
    MetricKind.COUNTER,
    "Checks of names and passwords, at /token or sent with a request.",
    ("result",),
    shown=(("accepted",), ("refused",), ("throttled",)),
)
UPLOADS_PURGED = Family(
    "authproxy_uploads_purged_total",
    MetricKind.COUNTER,
    "Abandoned upload sessions that have been removed.",
    shown=((),),
)
GC_REMOVED_LINKS = Family(
    "authproxy_gc_removed_links_total",
    MetricKind.COUNTER,
    "Links to manifests and blobs that the garbage collector has removed.",
    shown=((),),
)
GC_REMOVED_BYTES = Family(
    "authproxy_gc_removed_bytes_total",
    MetricKind.COUNTER,
    "Bytes that the garbage collector has freed.",
    shown=((),),
)
SCRUB_READ_BYTES = Family(
    "authproxy_scrub_read_bytes_total",
    MetricKind.COUNTER,
    "Bytes of stored content that the scrub has read and compared with their digests.",
    shown=((),),
)
SCRUB_FINDINGS = Family(
    "authproxy_scrub_findings_total",
    MetricKind.COUNTER,
    "What the scrub has found: damage, content that it could not read, and warnings.",
    ("severity",),
    shown=(("damaged",), ("unknown",), ("warning",)),
)
AUDIT_LINES = Family(
    "authproxy_audit_lines_total",
    MetricKind.COUNTER,
    "Lines of the audit log, by sink and by whether they were written.",
    ("sink", "result"),
)
HEALTH_CHECK_UP = Family(
    "authproxy_health_check_up",
    MetricKind.GAUGE,
    "Whether a health check passes: 1, or 0 if it fails in any worker.",
    ("check",),
    lowest=True,
)
CERTIFICATE_EXPIRATION = Family(
    "authproxy_certificate_expiration_timestamp_seconds",
    MetricKind.GAUGE,
    "When the server's certificate expires, in seconds since 1970; the earliest of all workers.",
    ("path",),
    lowest=True,
)
UPSTREAM_UP = Family(
    "authproxy_upstream_up",
    MetricKind.GAUGE,
    "Whether an address of an upstream is used: 1, or 0 if any worker leaves it out.",
    ("address",),
    lowest=True,
)
UPSTREAM_IN_FLIGHT = Family(
    "authproxy_upstream_in_flight_requests",
    MetricKind.GAUGE,
    "Requests to an address of an upstream that are being answered now.",
    ("address",),
)
UPSTREAM_FAILURES = Family(
    "authproxy_upstream_failures_total",
    MetricKind.COUNTER,
    "Requests that an address of an upstream did not answer, or answered with 502, 503 or 504.",
    ("address",),
)
RELOAD_LAST_LOOK = Family(
    "authproxy_reload_last_success_timestamp_seconds",
    MetricKind.GAUGE,
    "When a part that is reloaded on change was last checked, in seconds since 1970; the earliest of all workers.",
    ("part",),
    lowest=True,
)
RELOAD_FAILURES = Family(
    "authproxy_reload_failures_total",
    MetricKind.COUNTER,
    "Checks of a part that failed: its files could not be read, or do not load.",
    ("part",),
)
TASK_RESTARTS = Family(
    "authproxy_task_restarts_total",
    MetricKind.COUNTER,
    "Background tasks that ended and were restarted.",
    ("task",),
)
JOB_LAST_SUCCESS = Family(
    "authproxy_job_last_success_timestamp_seconds",
    MetricKind.GAUGE,
    "When a job last succeeded, on any node, by its clock, in seconds since 1970; the earliest of all workers.",
    ("job",),
    lowest=True,
)
JOB_DURATION = Family(
    "authproxy_job_duration_seconds_total",
    MetricKind.COUNTER,
    "How long the runs of a job have taken on this node.",
    ("job",),
)
JOB_RUNS = Family(
    "authproxy_job_runs_total",
    MetricKind.COUNTER,
    "Runs of a job on this node, by result.",
    ("job", "result"),
)
LOG_LINES_LOST = Family(
    "authproxy_log_lines_lost_total",
    MetricKind.COUNTER,
    "Lines of the log that could not be written.",
    shown=((),),
)
CONNECTIONS = Family("authproxy_connections", MetricKind.GAUGE, "Open connections of clients, of all workers.")
MAX_CONNECTIONS = Family(
    "authproxy_max_connections", MetricKind.GAUGE, "The limit of open connections, of all workers."
)
CONNECTIONS_ENDED = Family(
    "authproxy_connections_ended_total",
    MetricKind.COUNTER,
    "Connections that were closed to make room for new ones, by what they were doing.",
    ("reason",),
    shown=(("idle",), ("slow",)),
)
CONNECTIONS_REFUSED = Family(
    "authproxy_connections_refused_total",
    MetricKind.COUNTER,
    "New connections that were closed at once, by the limit that was reached.",
    ("reason",),
    shown=(("share",), ("budget",)),
)
WORKERS = Family("authproxy_workers", MetricKind.GAUGE, "Worker processes.")
BUILD_INFO = Family(
    "authproxy_build_info",
    MetricKind.GAUGE,
    "Always 1; the labels are the versions of authproxy and Python.",
    ("version", "python"),
    lowest=True,
)
CPU_SECONDS = Family("process_cpu_seconds_total", MetricKind.COUNTER, "CPU time, of all workers.")
RESIDENT_MEMORY = Family("process_resident_memory_bytes", MetricKind.GAUGE, "Memory in use, of all workers.")
VIRTUAL_MEMORY = Family("process_virtual_memory_bytes", MetricKind.GAUGE, "Memory addressed, of all workers.")
OPEN_FDS = Family("process_open_fds", MetricKind.GAUGE, "Open file descriptors, of all workers.")
MAX_FDS = Family("process_max_fds", MetricKind.GAUGE, "The limit of open file descriptors, of all workers.")
START_TIME = Family(
    "process_start_time_seconds",
    MetricKind.GAUGE,
    "When the oldest worker started, in seconds since 1970.",
    lowest=True,
)

FAMILIES = {
    family.name: family
    for family in (
        REQUESTS,
        DURATION,
        REQUEST_SIZE,
        RESPONSE_SIZE,
        IN_FLIGHT,
        TOKEN_ANSWERS,
        LOGINS,
        UPLOADS_PURGED,
        GC_REMOVED_LINKS,
        GC_REMOVED_BYTES,
        SCRUB_READ_BYTES,
        SCRUB_FINDINGS,
        AUDIT_LINES,
        HEALTH_CHECK_UP,
        CERTIFICATE_EXPIRATION,
        UPSTREAM_UP,
        UPSTREAM_IN_FLIGHT,
        UPSTREAM_FAILURES,
        RELOAD_LAST_LOOK,
        RELOAD_FAILURES,
        TASK_RESTARTS,
        JOB_LAST_SUCCESS,
        JOB_DURATION,
        JOB_RUNS,
        LOG_LINES_LOST,
        CONNECTIONS,
        MAX_CONNECTIONS,
        CONNECTIONS_ENDED,
        CONNECTIONS_REFUSED,
        WORKERS,
        BUILD_INFO,
        CPU_SECONDS,
        RESIDENT_MEMORY,
        VIRTUAL_MEMORY,
        OPEN_FDS,
        MAX_FDS,
        START_TIME,
    )
}
