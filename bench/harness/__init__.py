"""What benches share: figures, a database of their own, servers to ask, the report."""

from .database import fresh_database
from .figures import Figure, percentile
from .loading import load
from .servers import as_served, serving

__all__ = ["Figure", "as_served", "fresh_database", "load", "percentile", "serving"]
