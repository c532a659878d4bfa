"""HTTP/1.1, over TLS or not: what uvicorn runs for each connection in place of its own.

It exists for speed: large bodies go from the socket into the buffers that are handed to the disk, small answers leave
in one TLS record, and a request whose answer is at hand costs no turn of the loop. See
docs/decisions/0015-run-http-on-a-connection-of-our-own.md.
"""
