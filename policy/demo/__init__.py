"""The demo's governance of actions: rules before the directory and after it, and at the end what agents asked."""

from .asking import ask
from .rules import build, tighten

__all__ = ["ask", "build", "tighten"]
