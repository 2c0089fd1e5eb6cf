"""The panel before a dangerous click: how far it reaches, what cannot be undone, and a name to type."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.forms import BaseForm
from django.template import Context

from arm.templatetags.ui.fields import error_summary
from arm.templatetags.ui.library import register


@register.inclusion_tag("_components/confirm.html", takes_context=True)
def confirm(
    context: Context,
    title: str,
    submit: str,
    cancel: str,
    *,
    numbers: Sequence[Mapping[str, Any]] = (),
    irreversible: str = "",
    phrase: str = "",
    form: BaseForm | None = None,
    action: str = "",
    tone: str = "danger",
) -> dict[str, Any]:
    """A POST form: blast radius (`numbers`: label, value, url), the irreversible sentence, then the button.

    With `phrase` the person types it into the field `confirmation`; the browser checks it and the view must too.
    """
    problems = error_summary(form) if form is not None else []
    return {
        "title": title,
        "submit": submit,
        "cancel": cancel,
        "numbers": numbers,
        "irreversible": irreversible,
        "phrase": phrase,
        "pattern": re.escape(phrase),
        "form": form,
        "problems": problems,
        "action": action,
        "tone": tone,
        "csrf_token": context.get("csrf_token"),
    }
