"""One pass over every request: who asks, for what, may they, how it went. Does not know which backend is behind."""
