"""Valid user names: those that every way of logging in and every file of users can express."""

MAX_NAME_LENGTH = 255


def find_name_problem(name: str) -> str | None:
    """Why this user name is not allowed, as a message with the fix, or None if it is allowed."""
    problems = (
        (not name, "a user name must not be empty"),
        (len(name) > MAX_NAME_LENGTH, f"a user name has at most {MAX_NAME_LENGTH} characters"),
        (":" in name, "a user name must not contain a colon: in Basic credentials and htpasswd files it ends the name"),
        ("/" in name, "a user name must not contain a slash: it would reach into the repositories of another user"),
        (not name.isprintable(), "a user name must not contain control characters"),
        (name != name.strip(), "a user name must not begin or end with a space: an htpasswd file can't express it"),
        (name.startswith("#"), "a user name must not begin with #: in an htpasswd file that is a comment"),
    )
    return next((sentence for is_problem, sentence in problems if is_problem), None)
