"""Form controls are drawn by another engine than pages are, and are the same controls."""

import re

import django_filters
import pytest
from django import forms
from django.forms.renderers import DjangoTemplates
from django.http import QueryDict
from unfold.widgets import UnfoldAdminAutocompleteWidget

from arm.widgets import SHIPPED, Renderer, shipped
from registry.filters import InstanceFilter, TemplateFilter
from registry.models import AgentInstance, AgentTemplate
from tests import make

HARD = "\"><script>alert('x')</script>&amp; {{ 7 }} {% if %} ünï 🦜"


class Every(forms.Form):
    """One field of every control that Django ships and can be drawn without a file."""

    text = forms.CharField(help_text=HARD, initial=HARD)
    long = forms.CharField(
        widget=forms.Textarea(attrs={"data-x": HARD, "rows": 2}), initial=f"\n  two  blanks\n\n{HARD} \n"
    )
    secret = forms.CharField(widget=forms.PasswordInput)
    hidden = forms.CharField(widget=forms.HiddenInput, initial=HARD)
    number = forms.IntegerField(initial=1_234_567)
    price = forms.DecimalField(initial="1234.50")
    share = forms.FloatField(initial=0.1, localize=False)
    day = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    moment = forms.SplitDateTimeField()
    yes = forms.BooleanField(required=False, disabled=True)
    maybe = forms.NullBooleanField()
    one = forms.ChoiceField(choices=[("", "—"), ("Group", [(HARD, HARD), ("2", "two")])], initial=HARD)
    many = forms.MultipleChoiceField(choices=[(1, "one"), (2, HARD)], initial=[2])
    boxes = forms.MultipleChoiceField(choices=[(1, "one"), (2, HARD)], widget=forms.CheckboxSelectMultiple)
    radio = forms.ChoiceField(choices=[("a", HARD), ("b", "B")], widget=forms.RadioSelect, initial="b")
    file = forms.FileField()
    address = forms.URLField(assume_scheme="https", initial="https://example.org/?a=1&b=2")


def bare(html: str) -> str:
    """Without the blanks between tags and between attributes, and with one way to write a quote. Blanks in values and in
    long texts stay: there they are what is sent."""
    html = html.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")
    parts = re.split(r'(<textarea.*?</textarea>|"[^"]*")', html, flags=re.DOTALL)
    between = (re.sub(r"\s*([<>])\s*", r"\1", re.sub(r"\s+", " ", part)) for part in parts[::2])
    return "".join(one for pair in zip(between, [*parts[1::2], ""], strict=True) for one in pair)


def drawn(form: forms.BaseForm, renderer: DjangoTemplates) -> list[str]:
    form.renderer = renderer
    return [bare(f"{bound}{bound.errors}") for bound in form]


@pytest.mark.parametrize(
    "data", [None, {}, {"text": HARD, "number": HARD, "one": HARD, "boxes": [HARD, "2"]}]
)
def test_every_control_is_what_the_other_engine_draws(data):
    usual = drawn(Every(data, prefix="p"), DjangoTemplates())
    assert drawn(Every(data, prefix="p"), Renderer()) == usual
    assert any("&lt;script&gt;" in html for html in usual) and not any("<script" in html for html in usual)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "asked"),
    [(InstanceFilter, "state=active&q=%22x&label=%3Cb%3E"), (TemplateFilter, "risk=high&ownerless=true")],
)
def test_filters_of_lists_are_what_the_other_engine_draws(kind: type[django_filters.FilterSet], asked, rf):
    make.environment("<prod>")
    request = rf.get(f"/?{asked}")
    request.user, request.tenant = make.user(is_superuser=True), make.tenant()
    model = AgentInstance if kind is InstanceFilter else AgentTemplate
    first, second = (kind(QueryDict(asked), model.objects.all(), request=request).form for _ in range(2))
    assert drawn(first, Renderer()) == drawn(second, DjangoTemplates())


def test_what_apps_bring_is_found_as_before():
    brought = Renderer().get_template("admin/widgets/split_datetime.html")
    assert type(brought) is type(DjangoTemplates().get_template("admin/widgets/split_datetime.html"))
    text, select = (shipped(f"{SHIPPED}widgets/{name}.html") for name in ("text", "select"))
    assert Renderer().get_template(f"{SHIPPED}widgets/text.html") is text
    assert text.backend.env is select.backend.env, "one environment, which compiles what both include once"


def test_a_control_of_djangos_with_parts_of_an_app_is_drawn_too():
    control = UnfoldAdminAutocompleteWidget(choices=[("a", HARD)])
    control.is_required = False
    mixed, usual = (control.render("x", "a", renderer=engine) for engine in (Renderer(), DjangoTemplates()))
    assert bare(mixed) == bare(usual) and "&lt;script&gt;" in mixed
