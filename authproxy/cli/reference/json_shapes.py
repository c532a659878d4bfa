"""What each command prints with `--json`, for the page of commands: the names of all fields, and how they are nested.

`…` after a name is a list, `{…}` an object. tests/unit/cli/reference/test_json_shapes.py compares with real output.
"""

from collections.abc import Mapping

_FINDINGS = "findings…: {level, check, what, fix}"
_CHANGE = "{change, user}"
_KEY = "{kid, fingerprint, alg, state, created, signs_from, retired}"
_WHO = "who: {kind, name, claim}"
_DECISION = "allowed, rule, reason"
_EXPLAINED = (
    f"{{user, groups…, claims: {{…}}, robot, allowed, decisions…: {{access, tag, {_DECISION},"
    " near…: {rule, why_not}}}"
)
_ATOM = f"{{{_WHO}, repositories, tags, when}}"
_AUDIT = "the lines of the log, an object each: [the fields](../how-to/keep-an-audit-log.md)"
_FAILED = "a fault is {name, outcome, why}"

SHAPES: Mapping[str, str] = {
    "doctor": f"{{config, verdict, {_FINDINGS}}}; other modes: [doctor](doctor.md)",
    "trust": "{hosts…, issuer, trusted_here, ca, lines: {…}}",
    "verify": (
        "{storage, sample, seed, blobs, read_bytes, repositories, damaged, unknown, warning, repaired, quarantined…,"
        " findings…: {kind, where, message, digest, repository, severity, hit…, hit_count, fix, repaired,"
        " not_repaired_because}}"
    ),
    "version": "{authproxy, revision, python, system, openssl, libraries: {…}}",
    "gc": (
        "{storage, dry_run, untagged, seconds, abandoned_uploads: {uploads, bytes}, would_free_bytes,"
        " would_free_blobs, without_repository: {blobs, bytes},"
        " totals: {repositories, tags, revisions, layer_links, blobs, bytes, strays}, notices…: {repository, what},"
        " more_notices, repositories…: {repository, untagged, unnamed_layers, layers_of_untagged, own_bytes,"
        " shared_bytes, kept_whole}}; kept_whole is the reason, or null. A run that collects has removed (with"
        " revisions, layers, blobs, bytes, spared), removed_links by repository, uploads, upload_bytes, trash_ended,"
        " condemned,"
        " condemned_bytes, grace_left_s and is_waiting; --enable and --disable have storage and enabled; --purge has an"
        " object a line, with digest, repositories, bytes and is_gone"
    ),
    "undelete": (
        "{repository, tags: {…}, tags_kept…, manifests…, blobs…, missing…}; --list has an object a line, with"
        " repository, at, left_s, by, why, tags, manifests and the number of blobs; left_s is null"
        " while collection is off"
    ),
    "usage": (
        "{storage, totals: {blobs, bytes, unlinked_blobs, unlinked_bytes, trash_blobs, trash_bytes, uploads,"
        " upload_bytes}, pulls: {began, unknown_until}, rows…: {repository, own_bytes, shared_bytes, tags, manifests,"
        " upload_bytes, last_pushed, last_pulled}}; --namespaces: rows have namespace and repositories, and no times;"
        " --tags: {repository, tag, digest, size, last_pushed, last_pulled, pushed_by, pulled_by}"
    ),
    "audit verify": (
        "{lines, whole, faults…: {file, line, message}, writers…: {writer, first, last, from_the_start, head},"
        " passed_over}"
    ),
    "audit tail": _AUDIT,
    "audit search": _AUDIT,
    "config check": "{config, mode, warnings…}",
    "config show": "{config, values…: {key, value, source}}",
    "images list": f"an object a line: {{name, repository, tag, digest, size, created, platforms…}}; {_FAILED}",
    "images inspect": (
        "{name, digest, media_type, size, annotations: {…}, variants…: {platform, digest, size, created,"
        " layers…: {digest, size}, config: {…}}, referrers…: {digest, artifact_type, media_type, size}}"
    ),
    "images copy": f"an object a line: {{name, outcome, digest, moved_bytes, referrers}}; {_FAILED}",
    "images push": f"an object a line: {{name, outcome, digest, moved_bytes, referrers}}; {_FAILED}",
    "images pull": f"an object a line: {{name, outcome, digest}}; {_FAILED}",
    "images tag": f"{{name, digest}}; {_FAILED}",
    "images delete": (
        f"an object a line: {{name, outcome, digest, tags…, shared…, size, needed_by}}; of a whole repository last:"
        f" {{name, outcome, whole: {{tags, manifests, size, complete}}}}; {_FAILED}"
    ),
    "key list": f"a list of {_KEY}",
    "key rotate": _KEY,
    "key retire": "{kid, retired, signing}",
    "policy explain": _EXPLAINED,
    "policy can-i": f"{_EXPLAINED}; allowed is null where it is unknown",
    "policy test": "{cases, failed…: {place, case, faults…, why}, rules, untested…}",
    "policy check": (
        "{rules, findings…: {file, line, subject, message},"
        " shared_names…: {rule, kind, name, repositories, other, message}}"
    ),
    "policy who-can": (
        f"{{access, tag, allowed…: {{{_WHO}, {_DECISION}}}, perhaps…, denied…, unknown_users…}}; perhaps and denied as"
        " allowed"
    ),
    "policy diff": (
        f"{{changes…: {{gains, action, within…: {_ATOM}, denied…, allowed…, but_denied…}}}}; denied, allowed and"
        " but_denied as within"
    ),
    "policy replay": (
        "{lines, decisions, changed, changes…: {user, source, access, tag, then: {allowed, why}, now: {allowed, why},"
        " count, first, last}, untold…: {reason, count}, aside: {…}, beyond}; with --each a change a line, with time"
        " and client"
    ),
    "policy retention": (
        f"an object a line: {{repository, tag, digest, pushed, pulled, outcome, reason, frees}}; {_FAILED}"
    ),
    "registry login": "{registry, user, kept_in, was_checked}",
    "registry logout": "{registry, was_logged_in}",
    "registry ping": (
        f"{{registry, address, verdict, product: {{name, because}}, auth: {{schemes…, realm, service}}, {_FINDINGS}}}"
    ),
    "token revoke": (
        "{change, user, before, known}; user is null with --all, before with --undo; known is false if no file of users"
        " has it, null without files"
    ),
    "user add": (
        "{change, user, groups…, robot, may…: {allowed, actions…, repositories, tags…, when}}; may is absent without"
        " policies"
    ),
    "user password": _CHANGE,
    "user disable": _CHANGE,
    "user enable": _CHANGE,
    "user expire": _CHANGE,
    "user remove": _CHANGE,
    "user list": "a list of {user, groups…, robot, disabled, expires, has_password, can_log_in}",
}
