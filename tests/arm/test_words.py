"""What pages say of numbers and of changes reads as a person would say it."""

import pytest
from django.core.paginator import Paginator

from arm.models import ChangeRecord
from arm.words import counted
from tests.arm.pages import render, words


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 slots"), (1, "1 slot"), (2, "2 slots"), (1200, "1,200 slots")]
)
def test_what_is_counted_is_one_slot_or_many_slots(number, said):
    assert counted(number, "slot") == said


@pytest.mark.parametrize(
    ("noun", "one"),
    [("sweeps", "1 sweep"), ("entries", "1 entry"), ("people", "1 person"), ("policies", "1 policy")],
)
def test_a_list_of_one_names_one(noun, one):
    page = Paginator(range(1), 50).page(1)
    assert one in words(render("{% pager page noun %}", page=page, noun=noun))


def test_a_page_of_one_by_cursor_names_one():
    assert "1 version on this page" in words(render("{% cursor_pager 1 'versions on this page' %}"))
    assert "1 of 2 runs" in words(render("{% cursor_pager 1 'runs' total=2 %}"))


@pytest.mark.parametrize(
    ("verb", "after", "said"),
    [
        ("registry.version.moved", {"state": "approved"}, "Version moved to Approved"),
        ("registry.instance.moved", {"state": "read_only"}, "Instance moved to Read only"),
        ("registry.slot.rolled_back", {"state": "x"}, "Slot rolled back"),
        ("arm.member.added", {}, "Member added"),
    ],
)
def test_a_change_is_said_in_words_with_its_verb_in_the_title(verb, after, said):
    html = render("{% happened change %}", change=ChangeRecord(verb=verb, after=after))
    assert words(html) == said and f'title="{verb}"' in html


def test_what_a_change_says_is_escaped():
    html = render(
        "{% happened change %}", change=ChangeRecord(verb="a.<b>.moved", after={"state": "<script>"})
    )
    assert "<script>" not in html and "<b>" not in html.lower()
