"""The audit log: one JSON line for each decision, chained by hash, so that a changed or missing one shows.

Says what was decided, about whom and by which rule. Decides nothing itself, and holds no password and no token.
"""
