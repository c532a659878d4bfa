"""Cuts texts that clients choose, such as paths and names, so that none fills a log."""

# In characters: a path with the longest possible repository name and tag is under 500.
MAX_TEXT = 1024


def excerpt(text: str, limit: int = MAX_TEXT) -> str:
    """A text, or its beginning and `…`."""
    return text if len(text) <= limit else text[:limit] + "…"
