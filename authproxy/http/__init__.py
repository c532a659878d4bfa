"""HTTP/1.1 on our own sockets: the server for clients, and the client of other registries."""
