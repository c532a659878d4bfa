"""Health checks that run in the background, and the layer that refuses requests while one fails.

Nothing here knows registries or configurations: a check is made of plain values, or of a coroutine.
"""
