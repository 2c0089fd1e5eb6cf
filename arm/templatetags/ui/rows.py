"""Rows of long tables, and fields of long forms, by Jinja: the same components, at a fifth of the processor's time."""

from typing import Any

from django.template import engines
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from jinja2 import Environment, StrictUndefined

from arm.addresses import page, page_of
from arm.templatetags.ui import glyphs, states, tables, values
from arm.templatetags.ui.library import register

ENGINE = "rows"
"""Its name among settings.TEMPLATES. Its templates end in `.jinja` and stand beside the pages that they are part of."""

COMPONENTS = (
    glyphs.icon,
    page,
    page_of,
    states.instance_state,
    states.pill,
    tables.count,
    values.digest,
    values.number,
    values.typeid,
    values.when,
)
"""What these templates can call, by its name."""


def resolved(value: Any) -> Any:
    """A text that is made when it is drawn (help of a password, which is HTML) says only then whether it is safe."""
    return str(value) if isinstance(value, Promise) else value


def environment(**options: Any) -> Environment:
    """For settings.TEMPLATES, which say `autoescape`: escapes everything, and fails where Django's language would print
    nothing for a name that is not there."""
    strict = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True, "finalize": resolved}
    made = Environment(**options | strict)  # noqa: S701 - the settings say that it escapes
    made.globals.update({component.__name__: component for component in COMPONENTS})
    return made


def drawn(template: str, **shown: Any) -> SafeString:
    """The template's HTML; it knows what it is given here, and the components."""
    return SafeString(engines[ENGINE].get_template(template).render(shown))


@register.simple_tag
def rows(template: str, **shown: Any) -> SafeString:
    """`{% rows "registry/rows/slots.jinja" slots=object_list %}`: head and rows of a table, inside of `{% table %}`."""
    return drawn(template, **shown)
