"""Would another registry accept our tokens? Judged by its configuration and its version, or by asking it."""
