"""The backend that is another registry: the same requests, forwarded and streamed."""
