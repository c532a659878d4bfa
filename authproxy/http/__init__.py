"""HTTP/1.1 on sockets of our own: the server that clients reach, and the client that reaches other registries."""
