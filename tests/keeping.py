"""A test's connections are the next test's: a new one reads PostgreSQL's catalogues anew, which takes longer than most tests.

What a test does on them is rolled back, settings of the session included; what was broken on purpose is closed. Tests
that commit have a database of their own, and its connections end with it.
"""

from django.db import connections
from django.test import TestCase


def _end(cls: type[TestCase]) -> None:
    """As Django's own, but for the connections that are whole."""
    cls._rollback_atomics(cls.cls_atomics)  # type: ignore[attr-defined]
    for each in connections.all(initialized_only=True):
        if each.connection is None or each.connection.closed or each.closed_in_transaction:
            each.close()
    super(TestCase, cls).tearDownClass()


def keep_connections() -> None:
    """From now on, for tests with the mark `django_db`."""
    TestCase.tearDownClass = classmethod(_end)  # type: ignore[method-assign,assignment]
