"""HTTP/1.1 towards another registry: addresses, connections and their pool, TLS, challenges."""
