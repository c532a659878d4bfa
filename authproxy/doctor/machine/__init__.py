"""Our own configuration on this machine: what will not work, and the fix.

Nothing is asked over the network but the DNS; no file is changed. What the server may do is tried as the account that
will serve.
"""
