"""Forms: one field with label, help and errors; a whole form with an error summary that links to each field."""

from collections.abc import Hashable
from typing import Any

from django.forms import BaseForm, ModelChoiceField, ModelMultipleChoiceField
from django.forms.boundfield import BoundField
from django.forms.widgets import CheckboxInput
from django.template import Context
from django.utils.safestring import SafeString

from arm.templatetags.ui.library import register
from arm.templatetags.ui.rows import drawn


@register.simple_tag
def field(bound: BoundField, hide_label: bool = False) -> SafeString:
    """`{% field form.reason %}`: label, control, help and errors, tied together for screen readers.

    `hide_label` keeps the label for screen readers only. Help and errors reach the control by aria-describedby.
    """
    return drawn(
        "_components/field.jinja",
        field=bound,
        errors=bound.errors,
        hide_label=hide_label,
        is_checkbox=isinstance(bound.field.widget, CheckboxInput),
        is_group=bound.use_fieldset,
    )


_EMPTY: dict[Hashable, SafeString] = {}
"""Filters of lists, not filled in, by what they are and offer: the same HTML for everybody, at a tenth of a page's time."""
_MOST = 2000


@register.simple_tag
def filter_field(bound: BoundField) -> SafeString:
    """`{% filter_field bound %}`: a field of a list's filters, drawn once as long as nothing is filled in."""
    known = _as_it_is(bound)
    if known is None:
        return field(bound)
    if (html := _EMPTY.get(known)) is None:
        if len(_EMPTY) >= _MOST:
            _EMPTY.clear()
        html = _EMPTY[known] = field(bound)
    return html


def _as_it_is(bound: BoundField) -> Hashable | None:
    """What the HTML of an empty field follows from. None where it must be drawn: rows to choose from are the reader's own,
    and so is what was filled in, or was wrong."""
    filters = getattr(bound.form, "filters", None)
    rows = isinstance(bound.field, ModelChoiceField | ModelMultipleChoiceField)
    if filters is None or rows or bound.value() not in _NOTHING or bound.errors:
        return None
    offered = list(getattr(bound.field, "choices", ()))
    if any(isinstance(label, list | tuple) for _, label in offered):  # choices in groups
        return None
    said = str(bound.label), str(bound.help_text), tuple((str(value), str(label)) for value, label in offered)
    return filters, bound.html_name, bound.auto_id, *said


_NOTHING: tuple[Any, ...] = (None, "", [], ())


@register.inclusion_tag("_components/fields.html")
def fields(form: BaseForm) -> dict[str, Any]:
    """`{% fields form %}`: the error summary and every field, for a `<form>` written by hand."""
    return {"form": form, "problems": error_summary(form)}


@register.inclusion_tag("_components/form.html", takes_context=True)
def form(
    context: Context,
    form: BaseForm,
    submit: str = "Save",
    *,
    cancel: str = "",
    action: str = "",
    tone: str = "primary",
    method: str = "post",
) -> dict[str, Any]:
    """`{% form form submit="Bind policy" cancel=back_url %}`: a whole POST form with token, summary and buttons.

    `tone="danger"` colours the button of a change that stops something. Files make it multipart.
    """
    return {
        "form": form,
        "problems": error_summary(form),
        "submit": submit,
        "cancel": cancel,
        "action": action,
        "tone": tone,
        "method": method,
        "csrf_token": context.get("csrf_token"),
    }


def error_summary(form: BaseForm) -> list[dict[str, str]]:
    """Every error of a bound form as `{id, label, message}`, form-wide ones first with an empty id."""
    wide = [{"id": "", "label": "", "message": str(message)} for message in form.non_field_errors()]
    return wide + [
        {"id": bound.id_for_label or bound.auto_id, "label": str(bound.label), "message": str(message)}
        for bound in form
        for message in bound.errors
    ]
