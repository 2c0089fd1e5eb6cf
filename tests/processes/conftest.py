"""Asserts say what they saw, in the chapters of the story too."""

import pytest

pytest.register_assert_rewrite("tests.processes.story")
