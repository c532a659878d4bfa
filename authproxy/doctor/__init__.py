"""The doctors: what is wrong with our configuration, with the registries behind us, or with any other registry.

They change no file, neither a registry's nor ours. What they share is here: the request (`request.py`), the response to
`/v2/` (`entry.py`), lists, uploads, certificates (`handshake.py`), and the finding.
"""
