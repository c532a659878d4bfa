"""The same work, done by authproxy and by the registry that a user would otherwise run, alternately in one run.

`python -m benchmarks` runs them; docs/explanation/benchmarks.md says how and why.
"""
