"""The audit log: one JSON line for each decision, chained by hash, so that a changed or missing line is detected.

A line has the decision, the caller and the rule. It has no password and no token. Nothing here decides.
"""
