"""The error of requests to registries."""

import httpx

MAX_WORDS = 300

# Extension of a response: the registry rejected an anonymous request.
ANONYMOUS = "authproxy.anonymous"


class RegistryClientError(Exception):
    """A registry is unreachable or refused: one sentence that names it. `status` is None without a response."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


def refused(answer: httpx.Response, what: str) -> RegistryClientError:
    """The error with the registry's own message: OCI Distribution 1.1, "Error Codes". The body must have been read."""
    try:
        error = answer.json()["errors"][0]
        words = f"{error.get('code', '')}: {error.get('message', '')}".strip(": ")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        words = ""
    printable = "".join(char for char in words[:MAX_WORDS] if char.isprintable())
    hint = " (not logged in: use docker login, or --user)" if answer.extensions.get(ANONYMOUS) else ""
    text = f"{what}: HTTP {answer.status_code}{' ' + printable if printable else ''}{hint}"
    return RegistryClientError(text, answer.status_code)
