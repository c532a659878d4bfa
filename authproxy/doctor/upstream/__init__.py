"""What is wrong with an upstream: it is asked as our proxy would ask it, and its responses are judged.

Asking is separate from judging. Nothing is written there unless the operator says so, and then it is cancelled.
"""
