"""The lifecycles as pictures: every move that is allowed is drawn once, and what is drawn can be told apart."""

import re

import pytest

from arm.rights import Right
from registry.diagrams import layout
from registry.lifecycle import INSTANCE_MOVES, VERSION_MOVES, InstanceState, VersionState
from tests import make

VERSIONS = (
    VersionState.choices,
    {state.value: [to.value for to in ways] for state, ways in VERSION_MOVES.items()},
)
INSTANCES = (InstanceState.choices, {state.value: [*ways] for state, ways in INSTANCE_MOVES.items()})
BOTH = pytest.mark.parametrize(("states", "moves"), [VERSIONS, INSTANCES], ids=["version", "instance"])


@BOTH
def test_every_allowed_move_is_drawn_and_no_other(states, moves):
    drawn = set()
    for arrow in layout(states, moves, states[0][0]).arrows:
        way = (arrow.start, arrow.end)
        drawn |= {way, way[::-1]} if arrow.both else {way if arrow.end in moves[arrow.start] else way[::-1]}
    assert drawn == {(state, str(to)) for state, ways in moves.items() for to in ways}


@BOTH
def test_a_head_stands_at_each_end_that_a_move_leads_to(states, moves):
    for arrow in layout(states, moves, states[0][0]).arrows:
        assert len(arrow.heads) == (2 if arrow.both else 1)


@BOTH
def test_no_two_lines_lie_on_each_other(states, moves):
    """Upright parts in the same place never share a stretch, and no two lines meet a box in the same point."""
    upright, ends = [], []
    for arrow in layout(states, moves, states[0][0]).arrows:
        found = re.fullmatch(r"M(\d+) (\d+)H-?\d+Q(-?\d+) .* (-?\d+) (\d+)H(\d+)", arrow.path)
        if found is None:
            continue
        wall, top, lane, _, bottom, _ = (int(part) for part in found.groups())
        upright.append((lane, top, bottom))
        ends += [(wall, top), (wall, bottom)]
    assert upright, "none lies beside the column"
    assert len(ends) == len(set(ends))
    for n, (lane, top, bottom) in enumerate(upright):
        for other, above, below in upright[n + 1 :]:
            assert lane != other or bottom < above or below < top


@BOTH
def test_the_picture_fits_a_phone_and_holds_all_of_itself(states, moves):
    drawn = layout(states, moves, states[0][0])
    assert drawn.width <= 340
    figures = [int(part) for arrow in drawn.arrows for part in re.findall(r"H(-?\d+)", arrow.path)]
    assert min(figures) > 0 and max(figures) < drawn.width
    assert all(box.y + drawn.box_height < drawn.height for box in drawn.boxes)


def test_the_present_state_and_where_it_leads_are_marked():
    drawn = layout(*VERSIONS, now="testing", past=["draft"])
    phases = {box.state: box.phase for box in drawn.boxes}
    assert phases == {
        "draft": "next",
        "testing": "now",
        "candidate": "next",
        "approved": "other",
        "deprecated": "other",
        "retired": "next",
    }
    assert {(arrow.start, arrow.end) for arrow in drawn.arrows if arrow.open} == {
        ("draft", "testing"),
        ("testing", "candidate"),
        ("testing", "retired"),
    }
    assert drawn.arrows[-1].open, "what is open is drawn over the rest"


def test_words_say_the_same():
    words = {label: (ways, now) for label, ways, now in layout(*VERSIONS, now="approved").words}
    assert words["Testing"] == ("Draft, Candidate, Retired", False)
    assert words["Approved"] == ("Deprecated", True)
    assert words["Retired"] == ("nowhere: it is final", False)


@pytest.fixture
def olga(client, db):
    acme = make.tenant("acme")
    olga = make.user("olga", member_of=acme)
    make.grant(olga, acme, Right.READ_DIRECTORY)
    client.force_login(olga)
    return olga


def test_the_page_of_a_version_draws_its_lifecycle_and_says_what_is_missing_beside_it(client, olga):
    bare = make.version(genome=make.genome(missing=["tools"]))
    page = client.get(bare.get_absolute_url()).content.decode()
    assert 'class="state state-now"' in page and "The same in words" in page and "Draft (now)" in page
    assert "Before it can be Testing: 1 missing" in page.split("</figure>")[1]
    assert "style=" not in page.split("lifecycle-picture")[1].split("</svg>")[0]


def test_the_page_of_an_instance_draws_its_lifecycle_and_says_what_is_missing_beside_it(client, olga):
    instance = make.instance(state=InstanceState.PROVISIONING)
    page = client.get(instance.get_absolute_url()).content.decode().split('id="lifecycle"')[1]
    assert "Provisioning (now)" in page and page.count('class="state state-') == 7
    assert "No linked telemetry of it has arrived yet." in page.split("</figure>")[1]
