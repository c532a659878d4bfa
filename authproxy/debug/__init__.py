"""The debug port: health and metrics for operators, in plain HTTP, on a port that serves nothing of the registry."""
