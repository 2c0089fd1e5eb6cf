"""Rules of the console's components: nothing hostile survives, nothing unknown looks healthy, no figure lies."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django import forms
from django.contrib.auth.models import AnonymousUser
from django.core.paginator import Paginator
from django.template import TemplateSyntaxError
from django.test import RequestFactory

from arm import clock
from arm.templatetags.ui.charts import ceiling
from arm.templatetags.ui.gallery import HOSTILE, samples
from arm.templatetags.ui.glyphs import SHAPES
from arm.templatetags.ui.states import FAMILIES, look
from tests.arm.pages import render, words

NOON = datetime(2025, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with clock.at(NOON):
        yield


# --- nothing hostile survives -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{% card x %}text{% endcard %}",
        "{% pill x %}",
        "{% pill 'active' label=x %}",
        "{% pill 'active' certainty=x %}",
        "{% instance_state x x %}",
        "{% instance_state x 'active' %}",
        "{% money 1 x %}",
        "{% number 1 x %}",
        "{% digest x %}",
        "{% typeid x %}",
        "{% json doc %}",
        "{% when None x %}",
        "{% stat x x url=x note=x %}",
        "{% empty x x x x %}",
        "{% callout 'info' x %}text{% endcallout %}",
        "{% refusal x x x x x x %}",
        "{% definitions %}{% definition x %}{{ x }}{% enddefinition %}{% enddefinitions %}",
        "{% timeline events x %}",
        "{% tabs items x %}",
        "{% track steps x %}",
        "{% breadcrumbs x x x %}",
        "{% progress 1 2 x x %}",
        "{% bar 1 2 x %}",
        "{% bars rows x x x %}",
        "{% stack rows x %}",
        "{% sparkline numbers x %}",
        "{% area_chart points x x noun=x %}",
        "{% table x %}{% endtable %}",
        "{% sort_header x x %}",
        "{% pager page x %}",
        "{% cursor_pager 1 x next=x %}",
        "{% filter_bar form csv_url=x %}",
        "{% form form x cancel=x action=x %}",
        "{% confirm x x x numbers=rows irreversible=x phrase=x form=form %}",
        "{% live x x %}{% endlive %}",
        "{% freshness x %}",
    ],
)
def test_hostile_text_is_shown_and_never_run(source: str) -> None:
    class Hostile(forms.Form):
        name = forms.CharField(label=HOSTILE, help_text=HOSTILE, initial=HOSTILE)

    html = render(
        source,
        path="/?" + "sort=%3Cscript%3E&q=%22%3E%3Cscript%3E",
        x=HOSTILE,
        doc={"x": HOSTILE},
        events=[
            {
                "at": NOON,
                "title": HOSTILE,
                "actor": HOSTILE,
                "text": HOSTILE,
                "url": HOSTILE,
                "state": HOSTILE,
            }
        ],
        steps=[{"label": HOSTILE, "phase": "next", "note": HOSTILE, "url": HOSTILE}],
        items=[{"label": HOSTILE, "url": HOSTILE, "count": HOSTILE}],
        rows=[{"label": HOSTILE, "value": 1, "url": HOSTILE, "note": HOSTILE, "state": HOSTILE}],
        numbers=[1, 2],
        points=[(HOSTILE, 1), (HOSTILE, 2)],
        page=Paginator(range(100), 10).page(2),
        form=Hostile({"name": ""}),
    )

    assert "<script" not in html and "<b>" not in html
    # Inside an attribute a bare quote would open a new one.
    assert '"x"' not in html


@pytest.mark.parametrize("name", ["style", "onclick", "onchange", "hx-on"])
def test_the_gallery_keeps_the_content_security_policy(name: str) -> None:
    html = render("{% extends 'arm/gallery.html' %}", **samples({}))

    assert f" {name}=" not in html and f" {name}:" not in html
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)", html)


def test_each_step_of_a_track_says_its_phase_in_words_and_by_a_shape_of_its_own() -> None:
    phases = ("done", "now", "next", "later", "skipped")
    html = render("{% track steps %}", steps=[{"label": phase.title(), "phase": phase} for phase in phases])

    assert words(html) == "Done done Now now Next next Later later Skipped not reached"
    assert html.count('aria-current="step"') == 1
    assert len(set(re.findall(r"<svg.*?</svg>", html))) == len(phases)
    with pytest.raises(KeyError):
        render("{% track steps %}", steps=[{"label": "Draft", "phase": "finished"}])


# --- states -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["frobnicated", "Actively broken", "", None, "okay", "activ"])
def test_an_unknown_state_is_grey_and_says_unknown(state: str | None) -> None:
    html = render("{% pill state %}", state=state)

    assert "Unknown" in words(html)
    assert "tone-mute" in html and "tone-ok" not in html


def test_a_silent_instance_is_never_drawn_healthy() -> None:
    html = render(
        "{% instance_state 'active' 'active' observed_at=at stale=True %}", at=NOON - timedelta(hours=3)
    )

    assert words(html) == "Unknown 3 h wanted Active"
    assert "tone-ok" not in html


def test_a_state_is_not_named_before_it_is_observed() -> None:
    html = render("{% instance_state 'quarantined' 'active' desired_at=at %}", at=NOON - timedelta(seconds=7))

    assert words(html) == "Quarantining 7 s observed Active"
    assert "tone-stop" not in html


def test_an_observed_state_says_how_it_is_known() -> None:
    html = render("{% instance_state 'quarantined' 'quarantined' certainty='verified' %}")

    assert words(html) == "Quarantined (verified)"


@pytest.mark.parametrize(
    ("family", "state"), [(family, state) for family, states in FAMILIES.items() for state in states]
)
def test_every_state_has_a_shape_and_a_word_of_its_own(family: str, state: str) -> None:
    seen = look(state)

    assert seen.shape in SHAPES and seen.word
    # Colour is never the only difference: two states of one family that differ in tone differ in word and shape.
    for other in FAMILIES[family].values():
        if other.tone != seen.tone:
            assert (other.word, other.shape) != (seen.word, seen.shape) and other.word != seen.word


def test_restrictions_and_severities_are_found_in_any_case() -> None:
    assert look("QUARANTINED").word == "Quarantined" and look("s0").word == "S0"


# --- charts -----------------------------------------------------------------------------------------------------


def test_a_chart_has_its_figures_in_a_table() -> None:
    html = render(
        "{% area_chart points 'Spend' 'USD' %}", points=[(date(2025, 3, 1), 1), (date(2025, 3, 2), 2.5)]
    )

    assert html.count('<th scope="row">') == 2
    assert "2025-03-02" in words(html) and "2.50" in words(html)


def test_a_chart_without_points_says_so() -> None:
    assert words(render("{% area_chart points 'Spend' %}", points=[])) == "No data in this period."


def test_a_bar_never_leaves_its_track() -> None:
    assert 'width="100.0%"' in render("{% bar 30 20 %}")
    assert 'width="0.0%"' in render("{% bar 1 0 %}")


def test_a_missing_value_is_a_gap_in_the_line() -> None:
    assert render("{% sparkline values 'x' %}", values=[1, 2, None, 3, 4]).count("M") == 2


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (0.4, 0.5), (1, 1), (7, 10), (23, 25), (40, 50), (999, 1000)]
)
def test_the_axis_ends_at_a_round_figure(highest: float, top: float) -> None:
    assert ceiling(highest) == top


def test_progress_of_unknown_length_claims_no_share() -> None:
    html = render("{% progress 512 0 'Counting' %}")

    assert "512 so far" in words(html) and "value=" not in html


# --- tables -----------------------------------------------------------------------------------------------------


def test_a_second_click_sorts_the_other_way_and_filters_stay() -> None:
    html = render("{% sort_header 'name' 'Name' %}", path="/?state=active&sort=name&page=4")

    assert 'aria-sort="ascending"' in html
    assert 'href="?state=active&amp;sort=-name"' in html


def test_the_default_order_is_marked() -> None:
    assert 'aria-sort="descending"' in render("{% sort_header 'at' 'When' default='-at' %}")


def test_pages_say_which_rows_they_show() -> None:
    html = render(
        "{% pager page 'versions' %}", path="/?state=active&page=2", page=Paginator(range(1234), 50).page(2)
    )

    assert "51 – 100 of 1,234 versions" in words(html).replace("–", " – ").replace("  ", " ")
    assert 'href="?state=active&amp;page=3"' in html


def test_a_csv_link_carries_the_filters_and_not_the_page() -> None:
    class Filter(forms.Form):
        state = forms.CharField(required=False)

    request = RequestFactory().get("/?state=active&page=3")
    request.user = AnonymousUser()
    held = {"form": Filter({}), "url": "/rows.csv", "request": request}
    bar = "{% filter_bar form csv_url=url %}"

    request.rights_held_anywhere = frozenset({"export"})  # type: ignore[attr-defined]
    html = render(bar, **held)
    assert 'href="/rows.csv?state=active&amp;format=csv"' in html
    assert "Clear 1 filter" in words(html)

    request.rights_held_anywhere = frozenset({"directory_read"})  # type: ignore[attr-defined]
    assert "csv" not in render(bar, **held).lower()


# --- forms ------------------------------------------------------------------------------------------------------


def test_every_error_is_in_the_summary_and_tied_to_its_field() -> None:
    class Reason(forms.Form):
        reason = forms.CharField(help_text="Goes into the record.")

    form = Reason({"reason": ""})
    form.add_error(None, "The instance is retired.")
    html = render("{% form form 'Stop' %}", form=form)

    assert 'role="alert"' in html and '<a href="#id_reason">Reason</a>' in html
    assert "The instance is retired." in words(html)
    assert 'aria-describedby="id_reason_helptext id_reason_error"' in html and 'id="id_reason_error"' in html


def test_a_dangerous_form_asks_for_the_name_exactly() -> None:
    html = render("{% confirm 'Stop' 'Stop' '/' phrase='a.b (c)' %}")

    assert r'pattern="a\.b\ \(c\)"' in html and "required" in html


def test_a_form_carries_the_token_it_was_given() -> None:
    html = render("{% form form 'Save' %}", form=forms.Form(), csrf_token="t0ken")

    assert '<input type="hidden" name="csrfmiddlewaretoken" value="t0ken">' in html


# --- parts that renew themselves --------------------------------------------------------------------------------


def test_a_live_part_asks_for_itself_every_few_seconds() -> None:
    html = render("{% live 'fleet' '/' every=3 %}now{% endlive %}{% freshness 'fleet' every=3 %}")

    assert 'hx-get="/"' in html and 'hx-trigger="every 3s, renew"' in html
    assert 'data-freshness="fleet"' in html and "2025-03-02 12:00:00 UTC" in html


def test_a_misspelt_breadcrumb_or_tone_is_an_error() -> None:
    with pytest.raises(ValueError, match="Breadcrumbs"):
        render("{% breadcrumbs 'Versions' '/versions/' %}")
    with pytest.raises(ValueError, match="not a tone"):
        render("{% stat 'x' 1 tone='green' %}")
    with pytest.raises(TemplateSyntaxError):
        render("{% stat %}")
