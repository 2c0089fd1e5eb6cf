"""Versions by what people call them."""

import re

from django.db.models import Q

_NUMBERED = re.compile(r"(?P<agent>.*\S)\s+v(?P<number>\d{1,9})", re.IGNORECASE)


def called(text: str) -> Q:
    """Versions of this label, alone or behind the agent's name, or of this number behind a part of it:
    “2026-05”, “Refund desk 2026-05”, “Refund desk v1”."""
    text = text.strip()
    agent, _, label = text.rpartition(" ")
    found = Q(label=text)
    if agent.strip() and label:
        found |= Q(label=label, template__name__iexact=agent.strip())
    if match := _NUMBERED.fullmatch(text):
        found |= Q(number=int(match["number"]), template__name__icontains=match["agent"])
    return found
