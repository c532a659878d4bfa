"""Is this registry fit to serve: checks that run in the background, and the layer that turns requests away.

It knows nothing of registries and configurations: what is checked comes in as plain values or as a coroutine.
"""
