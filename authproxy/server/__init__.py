"""Between the operating system and the ASGI application: processes, sockets, TLS, privileges."""
