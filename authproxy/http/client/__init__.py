"""HTTP/1.1 to another registry: addresses, connections and their pool, TLS, challenges."""
