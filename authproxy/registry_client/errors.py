"""What a registry answered instead of what was asked."""

import httpx

MAX_WORDS = 300

# An answer's mark that nobody was named to the registry that refused it.
ANONYMOUS = "authproxy.anonymous"


class RegistryClientError(Exception):
    """A registry that cannot be asked, or refuses: one sentence that names it. `status` is None without an answer."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


def refused(answer: httpx.Response, what: str) -> RegistryClientError:
    """The registry's own words about it: OCI Distribution 1.1, "Error Codes". The answer's body has been read."""
    try:
        error = answer.json()["errors"][0]
        words = f"{error.get('code', '')}: {error.get('message', '')}".strip(": ")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        words = ""
    printable = "".join(char for char in words[:MAX_WORDS] if char.isprintable())
    hint = " (nobody is signed in: docker login, or --user)" if answer.extensions.get(ANONYMOUS) else ""
    text = f"{what}: HTTP {answer.status_code}{' ' + printable if printable else ''}{hint}"
    return RegistryClientError(text, answer.status_code)
