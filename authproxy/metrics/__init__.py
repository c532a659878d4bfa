"""Metrics for operators, in Prometheus' text format: counted in plain Python, summed over all worker processes.

All metrics: `families.py`, and docs/reference/metrics.md. Nothing here knows the code that counts.
"""
