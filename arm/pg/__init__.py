"""The embedded PostgreSQL: one private server below one data directory, for trying out, development and tests."""

from .place import PostgresUnavailable, default_data, prepare, read_secrets, secret
from .server import Urls, ensure, is_running, stop

__all__ = [
    "PostgresUnavailable",
    "Urls",
    "default_data",
    "ensure",
    "is_running",
    "prepare",
    "read_secrets",
    "secret",
    "stop",
]
