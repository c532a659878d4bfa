"""The same work, done by us and by the registry that a user would otherwise run, by turns in one run.

`python -m benchmarks` is the entry; docs/explanation/benchmarks.md says how things are measured and why.
"""
