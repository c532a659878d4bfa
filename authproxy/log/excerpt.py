"""Texts that clients choose, such as paths and names: cut where they are written, so that none fills a log."""

# In characters: a path with the longest repository name and tag there may be is under 500.
MAX_TEXT = 1024


def excerpt(text: str, limit: int = MAX_TEXT) -> str:
    """A text, or its beginning and a sign that there was more."""
    return text if len(text) <= limit else text[:limit] + "…"
