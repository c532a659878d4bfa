"""A registry as its clients see it: which auth it wants, and what is right and wrong with its responses.

Asking is separate from judging. Nothing is written there unless the user says so, and then it is cancelled. A password
goes only where the registry's certificate is trusted, and to no realm but its own.
"""
