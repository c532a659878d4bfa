"""Would another registry take our tokens? Its configuration read, a token made, and verified as that version would.

Nothing here changes a file: not the registry's, and not ours.
"""
