"""The console's components as template tags: `{% load ui %}`. Signatures and examples are in docs/ui.md."""

from arm.templatetags.ui import blocks, charts, fields, glyphs, live, panels, rows, states, tables, values
from arm.templatetags.ui.library import register

__all__ = [
    "blocks",
    "charts",
    "fields",
    "glyphs",
    "live",
    "panels",
    "register",
    "rows",
    "states",
    "tables",
    "values",
]
