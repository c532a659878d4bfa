"""Numbers for operators, in Prometheus' text format: counted in plain Python, summed over all worker processes.

What is counted: `families.py`, and docs/reference/metrics.md. Nothing here knows who counts.
"""
