"""The mode of a configuration: how callers are identified and authorized."""

from enum import Enum


class Mode(Enum):
    """Who identifies callers, and who decides what they may do."""

    OPEN = "open"  # no caller is identified
    BASIC = "basic"  # Basic credentials on every request, from an htpasswd file
    VERIFY = "verify"  # tokens of a foreign token server
    ISSUE = "issue"  # tokens of our own /token
    SILLY = "silly"  # anything that looks like credentials
