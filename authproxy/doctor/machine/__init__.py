"""Our own configuration on this machine: what will not work, and the fix.

Sends no requests except DNS queries, and changes no file. Access is tried as the account that will serve.
"""
