"""What is wrong with an upstream: each is asked, as our proxy would ask it, and its answers are judged.

Asking stands apart from judging. Nothing is written there unless the operator says so, and then it is cancelled.
"""
