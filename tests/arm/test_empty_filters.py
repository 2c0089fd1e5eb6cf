"""The filters of a list are drawn once while nothing is filled in, and what somebody fills in or may choose is theirs alone."""

import pytest
from django import forms
from django.urls import reverse

from arm.rights import Right
from arm.templatetags.ui import fields
from tests import make


class Filters(forms.Form):
    filters = "a list"
    name = forms.CharField(required=False, help_text="Any part of it")
    risk = forms.MultipleChoiceField(
        choices=[("low", "Low"), ("high", "High")], required=False, widget=forms.CheckboxSelectMultiple
    )
    grouped = forms.ChoiceField(choices=[("Few", [("a", "A")])], required=False)
    whole = forms.IntegerField(required=False)


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Which fields were drawn, not taken from before."""
    names: list[str] = []
    field = fields.field

    def counted(bound, hide_label=False):
        names.append(bound.name)
        return field(bound, hide_label)

    monkeypatch.setattr(fields, "field", counted)
    monkeypatch.setattr(fields, "_EMPTY", {})
    return names


def shown(form):
    return {bound.name: fields.filter_field(bound) for bound in form}


def test_what_is_empty_is_drawn_once_and_reads_as_if_it_were_drawn_anew(drawn):
    first = shown(Filters())
    drawn.clear()
    again = shown(Filters({"q": "something else"}))
    assert drawn == ["grouped"]
    assert again == first == {bound.name: fields.field(bound) for bound in Filters()}
    assert "Any part of it" in first["name"] and 'value="high"' in first["risk"]


def test_what_somebody_filled_in_is_shown_to_nobody_else():
    mine = shown(Filters({"name": "secret", "risk": ["high"]}))
    assert "secret" in mine["name"] and "checked" in mine["risk"]
    theirs = shown(Filters())
    assert "secret" not in theirs["name"] and "checked" not in theirs["risk"]


def test_what_is_wrong_says_so_each_time():
    assert "whole number" in shown(Filters({"whole": "x"}))["whole"]
    assert "whole number" not in shown(Filters())["whole"]


def test_other_choices_are_another_field():
    shown(Filters())
    other = Filters()
    other.fields["risk"].choices = [("odd", "Odd")]
    assert "Odd" in shown(other)["risk"] and "Low" not in shown(other)["risk"]


def test_filters_of_two_lists_keep_apart():
    shown(Filters())
    other = Filters()
    other.filters = "another list"
    other.fields["name"].widget.attrs["placeholder"] = "Here"
    assert "Here" in shown(other)["name"]


def test_no_more_than_so_many_are_kept(monkeypatch):
    monkeypatch.setattr(fields, "_MOST", 2)
    shown(Filters())
    assert len(fields._EMPTY) <= 2


@pytest.mark.django_db
def test_rows_to_choose_from_are_those_that_their_reader_sees(client):
    acme = make.tenant("acme")
    lab, prod = make.environment("lab", position=1), make.environment("prod", position=2)
    for name, place in (("alice", lab), ("bob", prod)):
        person = make.user(name, member_of=acme)
        make.grant(person, place, Right.READ_DIRECTORY)
        client.force_login(person)
        page = client.get(reverse("registry:instance_list")).content.decode()
        assert f'value="{place.slug}"' in page
        assert f'value="{(prod if place is lab else lab).slug}"' not in page
