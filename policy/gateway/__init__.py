"""The live decision: plain WSGI callables in front of Django, in the same process with the same engine."""

from .lane import approval, decide, decide_batch

__all__ = ["approval", "decide", "decide_batch"]
