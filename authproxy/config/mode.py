"""The mode of a configuration: what its keys together say about callers."""

from enum import Enum


class Mode(Enum):
    """Who identifies callers, and who decides what they may do."""

    OPEN = "open"  # nobody is asked
    BASIC = "basic"  # Basic credentials on every request, from an htpasswd file
    VERIFY = "verify"  # tokens of a foreign token server
    ISSUE = "issue"  # tokens of our own /token
    SILLY = "silly"  # anything that looks like credentials
