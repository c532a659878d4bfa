"""Retention over a storage: reads the images of a repository, has the policies decide, and deletes through the trash.

The decision is `policy/retention.py`'s. The job runs before the garbage collector, which frees what nothing needs.
"""
