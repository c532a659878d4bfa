"""What a user may be called: what every way of logging in can carry, and every file of users can hold."""

MAX_NAME_LENGTH = 255


def find_name_problem(name: str) -> str | None:
    """Why nobody can have this name, as a sentence that says what to do, or None where it will do."""
    problems = (
        (not name, "a user name must not be empty"),
        (len(name) > MAX_NAME_LENGTH, f"a user name has at most {MAX_NAME_LENGTH} characters"),
        (":" in name, "a user name must not hold a colon: in Basic credentials and htpasswd files it ends the name"),
        ("/" in name, "a user name must not hold a slash: it would reach into the repositories of another user"),
        (not name.isprintable(), "a user name must not hold control characters"),
        (name != name.strip(), "a user name must not begin or end with a space: an htpasswd file could not hold it"),
        (name.startswith("#"), "a user name must not begin with #: in an htpasswd file that is a comment"),
    )
    return next((sentence for is_problem, sentence in problems if is_problem), None)
