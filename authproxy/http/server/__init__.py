"""HTTP/1.1, with or without TLS: uvicorn runs it for each connection instead of its own.

It exists for speed: large bodies go from the socket into the buffers that are written to the disk, small responses are
sent in one TLS record, and a request that can be answered without waiting costs no turn of the loop. See
docs/decisions/0015-run-http-on-a-connection-of-our-own.md.
"""
