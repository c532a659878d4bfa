"""The debug port: health and metrics for operators, in plain HTTP, beside the registry and never a way into it."""
