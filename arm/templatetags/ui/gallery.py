"""What the component gallery shows: one sample of everything, hostile text included."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator

from arm import clock
from arm.templatetags.ui.states import FAMILIES

HOSTILE = '<script>alert("x")</script> & <b>bold</b>'
_DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class SampleForm(forms.Form):
    """One of each control, shown with errors."""

    name = forms.CharField(max_length=60, help_text="Lower case, as it appears in addresses.")
    environment = forms.ChoiceField(choices=[("dev", "Development"), ("prod", "Production")])
    reason = forms.CharField(widget=forms.Textarea, help_text="Goes into the change record.")
    until = forms.DateTimeField(required=False)
    notify = forms.BooleanField(required=False, label="Tell the owners")
    modes = forms.MultipleChoiceField(
        choices=[("calls", "Tool calls"), ("spawn", "Spawning")],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )


class SampleFilter(forms.Form):
    """What a filter bar over a list looks like."""

    q = forms.CharField(required=False, label="Search")
    state = forms.ChoiceField(
        required=False, choices=[("", "Any"), ("active", "Active"), ("paused", "Paused")]
    )
    environment = forms.ChoiceField(required=False, choices=[("", "Any"), ("prod", "Production")])
    owner = forms.CharField(required=False)


class ManyFilters(SampleFilter):
    """More of them than fit into one line: they fold."""

    risk = forms.MultipleChoiceField(
        required=False, choices=[("low", "Low"), ("high", "High")], widget=forms.CheckboxSelectMultiple
    )


class ReasonForm(forms.Form):
    """The reason that every restriction asks for."""

    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}))


def _rows() -> list[dict[str, Any]]:
    states = ["active", "active", "paused", "readonly", "quarantined", "unknown", "draining"]
    now = clock.now()
    return [
        {
            "name": f"support-triage-{index:02d}" if index != 3 else HOSTILE,
            "state": state,
            "environment": ("prod", "staging", "dev")[index % 3],
            "seen": now - timedelta(seconds=17 * (index + 1) ** 4),
            "spend": Decimal("3.1415") * index,
            "calls": 1234 * index,
        }
        for index, state in enumerate(states)
    ]


def samples(query: dict[str, Any]) -> dict[str, Any]:
    """The gallery's template context; `query` is the request's GET, so that its filter bar works."""
    now = clock.now()
    wrong = SampleForm({"name": "", "environment": "mars", "reason": "", "until": "tomorrow"})
    page: Page[int] = Paginator(range(1234), 50).page(2)
    day = now.date()
    return {
        "hostile": HOSTILE,
        "digest_value": _DIGEST,
        "typeid_value": "ver_01jd7x0b5re0yr8m9c3k4x8q2f",
        "now": now,
        "moments": [now - timedelta(seconds=s) for s in (0, 42, 200, 9_000, 260_000, 9_000_000)],
        "later": now + timedelta(hours=5),
        "since": now - timedelta(seconds=7),
        "families": {name: list(family) for name, family in FAMILIES.items()},
        "rows": _rows(),
        "amounts": [Decimal("1234567.891"), Decimal("0.000432"), Decimal("-12.5"), Decimal(0)],
        "series": [(day - timedelta(days=29 - n), 40 + (n * 37) % 53 + n * 2) for n in range(30)],
        "names": [
            {"label": "gpt-class large", "value": Decimal("812.4"), "url": "#charts"},
            {"label": "sonnet-class", "value": Decimal("431.09"), "url": "#charts"},
            {"label": "embedding", "value": Decimal("12.3")},
            {"label": HOSTILE, "value": Decimal("1.02"), "tone": "warn"},
        ],
        "spark": [3, 4, 2, None, None, 5, 8, 7, 12, 4],
        "shares": [
            {"label": "Active", "value": 331, "state": "active", "url": "#charts"},
            {"label": "Paused", "value": 22, "state": "paused", "url": "#charts"},
            {"label": "Draining", "value": 9, "state": "draining", "url": "#charts"},
            {"label": "Quarantined", "value": 6, "state": "quarantined", "url": "#charts"},
            {"label": "Unknown", "value": 32, "state": "unknown", "url": "#charts"},
        ],
        "events": [
            {
                "at": now - timedelta(minutes=3),
                "title": "Quarantined",
                "actor": "Alice",
                "state": "quarantined",
            },
            {
                "at": now - timedelta(minutes=9),
                "title": "Incident opened",
                "state": "open",
                "text": "Daily cap of 50 USD reached by support-triage-04.",
                "url": "#timeline",
            },
            {"at": now - timedelta(days=2), "title": "Approved", "actor": "Bob", "state": "approved"},
        ],
        "lifecycle": [
            {"label": "Draft", "phase": "done"},
            {"label": "Testing", "phase": "now", "note": "3 h"},
            {"label": "Candidate", "phase": "next", "note": "2 things missing", "url": "#track"},
            {"label": "Approved", "phase": "later"},
            {"label": "Retired", "phase": "skipped", "note": HOSTILE},
        ],
        "tab_items": [
            {"label": "Overview", "url": "#tabs", "active": True},
            {"label": "Genome", "url": "#tabs"},
            {"label": "Instances", "url": "#tabs", "count": 12},
            {"label": "Approvals", "url": "#tabs", "count": 0},
        ],
        "reach": [
            {"label": "Instances", "value": 412, "url": "#confirm"},
            {"label": "Work in flight", "value": 38},
            {"label": "Roles left uncovered", "value": 2, "url": "#confirm"},
        ],
        "document": {"models": {"primary": "large-1"}, "note": HOSTILE, "limits": [1, 2.5, None, True]},
        "form": wrong,
        "filter_form": SampleFilter(query, auto_id="few_%s"),
        "many_filters": ManyFilters(query, auto_id="many_%s"),
        "reason_form": ReasonForm(auto_id="why_%s"),
        "page": page,
    }
