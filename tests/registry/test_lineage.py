"""Where versions come from: named, drawn, never a circle, never another tenant's."""

import re
from itertools import pairwise

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import queries, services
from registry.lifecycle import VersionState
from registry.models import AgentVersion, Genome, VersionParent
from registry.queries.drawing import HEIGHT, LETTERS, WIDTH, draw, shortened
from tests import make

API = "/api/v1/registry/versions"


# the drawing


@st.composite
def graphs(draw_):
    count = draw_(st.integers(0, 14))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    return count, draw_(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []


@given(graphs())
def test_every_line_leads_to_the_right_and_no_two_boxes_touch(graph):
    count, edges = graph
    drawn = draw(list(range(count)), edges)
    place = {box.key: box for box in drawn.boxes}
    assert place.keys() == set(range(count)) and {(e.start, e.end) for e in drawn.lines} == set(edges)
    assert all(place[a].x + WIDTH < place[b].x for a, b in edges)
    for one in drawn.boxes:
        assert 0 <= one.x and one.x + WIDTH <= drawn.width and 0 <= one.y and one.y + HEIGHT <= drawn.height
        for other in drawn.boxes:
            apart = abs(one.x - other.x) > WIDTH or abs(one.y - other.y) > HEIGHT
            assert one is other or apart


def test_lines_that_need_not_cross_do_not():
    drawn = draw(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    y = {box.key: box.y for box in drawn.boxes}
    assert (y["a"] < y["b"]) == (y["y"] < y["x"])


def test_a_line_over_several_layers_passes_between_the_boxes_and_not_behind_one():
    drawn = draw("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d")])
    across = {
        (line.start, line.end): [int(y) for y in re.findall(r"L\d+ (\d+)", line.path)] for line in drawn.lines
    }
    assert {edge: len(bends) for edge, bends in across.items() if bends} == {("a", "c"): 1, ("a", "d"): 2}
    boxes = {box.key: box for box in drawn.boxes}
    for name, y in zip("bbc", [*across["a", "c"], *across["a", "d"]], strict=True):
        assert not boxes[name].y <= y <= boxes[name].y + HEIGHT, name


def test_a_title_that_does_not_fit_keeps_its_end_which_tells_it_from_its_neighbours():
    first, second = (shortened(f"support-triage-americas-prod-021-helper-{n}") for n in (1, 2))
    assert first != second and first.startswith("support-") and len(first) <= LETTERS
    assert shortened("Support triage EMEA v3") == "Support triage EMEA v3"


def test_a_circle_is_not_drawn():
    with pytest.raises(ValueError, match="circle"):
        draw(["a", "b"], [("a", "b"), ("b", "a")])


# the services


@pytest.fixture
def acme(db):
    return make.tenant("acme")


@pytest.fixture
def alice(acme, client):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


@pytest.fixture
def chain(alice):
    """Four drafts of one agent, each from the one before."""
    template = make.template("invoices", name="Invoices")
    made = [make.version(template=template) for _ in range(4)]
    for parent, child in pairwise(made):
        name(child, [parent], alice)
    return made


def name(version, parents, actor):
    return services.name_parents(version=version, parents=parents, actor=actor, reason="was built from it")


def test_parents_of_a_draft_are_named_changed_and_recorded(alice, chain):
    first, second, third, _ = chain
    fork = make.version(template=make.template("other"))
    name(third, [first, fork], alice)
    edges = VersionParent.objects.filter(version=third).order_by("pk")
    assert {(edge.parent, edge.relation) for edge in edges} == {(first, "derived"), (fork, "forked")}
    record = ChangeRecord.objects.filter(verb="registry.version.derived").first()
    assert record.before == {"parents": [second.typeid]}
    assert record.after == {"parents": [first.typeid, fork.typeid]}


def test_a_circle_is_refused_with_a_pointer_to_who_closes_it(alice, chain):
    first, _, _, last = chain
    other = make.version()
    with pytest.raises(Invalid) as refused:
        name(first, [other, last], alice)
    assert [(p["pointer"], p["code"]) for p in refused.value.errors] == [("/parents/1", "circle")]
    with pytest.raises(Invalid):
        name(first, [first], alice)
    assert not VersionParent.objects.filter(version=first).exists()


def test_the_database_refuses_both_as_well(acme, chain):
    first, _, _, last = chain
    theirs = make.version(template=make.template(tenant=make.tenant("other")))
    for parent, said in ((last, "does not come from itself"), (theirs, "its own tenant")):
        with pytest.raises(IntegrityError, match=said), transaction.atomic():
            VersionParent.objects.create(tenant=acme, version=first, parent=parent)


def test_once_submitted_the_lineage_is_history(acme, alice, chain):
    version = services.move_version(version=chain[1], to=VersionState.TESTING, actor=alice, reason="go")
    back = services.move_version(version=version, to=VersionState.DRAFT, actor=alice, reason="again")
    with pytest.raises(Conflict, match="history"):
        name(back, [], alice)
    edges = VersionParent.objects.filter(version=back)
    with pytest.raises(DatabaseError, match="first draft"), transaction.atomic():
        edges.delete()
    with pytest.raises(DatabaseError, match="name other parents"), transaction.atomic():
        edges.update(relation="forked")


def test_a_stranger_names_nothing(acme, chain):
    mallory = make.user("mallory", member_of=acme)
    with pytest.raises(NotAllowed):
        name(chain[0], [], mallory)


# the pages


def test_the_page_draws_the_window_and_says_the_same_in_a_table(client, chain):
    page = client.get(reverse("registry:version_lineage", args=[chain[1].typeid])).content.decode()
    assert page.count('class="graph-line"') == 3 and page.count('class="graph-node') == 4
    assert "style=" not in page.split('class="graph"')[1].split("</svg>")[0]
    for version in chain:
        assert page.count(f"/{version.typeid}/lineage/") >= 2
    whole = client.get(reverse("registry:template_lineage", args=[chain[0].template.typeid])).content.decode()
    assert whole.count('class="graph-node') == 4


def test_of_hundreds_the_nearest_are_shown_and_the_rest_is_counted(client, alice, monkeypatch):
    monkeypatch.setattr(queries.lineage, "MOST", 5)
    template = make.template("base")
    base, *forks = (make.version(template=template) for _ in range(10))
    for fork in forks:
        name(fork, [base], alice)
    found = queries.lineage_of(base, alice)
    assert len(found.rows) == 5 and found.cut
    assert {row.more for row in found.rows if row.version == base} == {5}
    page = client.get(reverse("registry:version_lineage", args=[base.typeid])).content.decode()
    assert "A part of it" in page and "5 more" in page


def test_of_a_base_with_hundreds_of_forks_no_more_is_read_than_is_drawn(alice):
    template = make.template("base")
    base, *forks = (make.version(template=template) for _ in range(4))
    other = make.template("other")
    secret = make.version(template=make.template("secret"))
    made = make.version(template=other)
    genomes = Genome.objects.bulk_create(
        Genome(tenant=made.tenant, template=other, content=b"{}", digest=f"sha256:{number:064}")
        for number in range(2, 302)
    )
    copies = [
        AgentVersion(
            tenant=made.tenant, template=other, number=number, genome=genome, created_by=made.created_by
        )
        for number, genome in enumerate(genomes, 2)
    ]
    AgentVersion.objects.bulk_create(copies)
    children = [*forks, *copies, secret]
    VersionParent.objects.bulk_create(
        VersionParent(tenant=base.tenant, version=child, parent=base, relation="forked") for child in children
    )
    fetched = []

    def counting(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if "versionparent" in sql:
            fetched.append(context["cursor"].cursor.rowcount)
        return answer

    with connection.execute_wrapper(counting):
        found = queries.lineage_of(base, alice)
    assert len(found.rows) == queries.lineage.MOST and found.cut
    nearest = sorted((child.pk for child in children), reverse=True)[: queries.lineage.MOST - 1]
    assert {row.version.pk for row in found.rows} == {base.pk, *nearest}
    (of_base,) = [row for row in found.rows if row.version == base]
    assert of_base.more == len(children) - len(nearest) and len(of_base.children) == len(nearest)
    assert max(fetched) <= queries.lineage.MOST + 1, fetched

    vera = make.user("vera", member_of=base.tenant)
    make.grant(vera, base.template, Right.READ_DIRECTORY)
    make.grant(vera, other, Right.READ_DIRECTORY)
    seen = queries.lineage_of(base, vera)
    (of_base,) = [row for row in seen.rows if row.version == base]
    assert of_base.more + len(of_base.children) == len(children) - 1


def test_a_generation_that_is_cut_leaves_the_same_window(alice, monkeypatch):
    """A child that is a grandchild as well takes no place of another."""
    monkeypatch.setattr(queries.lineage, "MOST", 6)
    template = make.template("base")
    base, *below = (make.version(template=template) for _ in range(12))
    for child in below:
        name(child, [base, *[one for one in below[:2] if one.pk < child.pk]], alice)
    found = queries.lineage_of(base, alice)
    wanted = sorted((one.pk for one in below), reverse=True)[:5]
    assert {row.version.pk for row in found.rows} == {base.pk, *wanted} and found.cut


def test_what_one_may_not_see_is_neither_drawn_nor_counted(client, acme, chain, alice):
    secret = make.version(template=make.template("secret", name="Secret"))
    name(secret, [chain[0]], alice)
    vera = make.user("vera", member_of=acme)
    make.grant(vera, chain[0].template, Right.READ_DIRECTORY)
    client.force_login(vera)
    url = reverse("registry:version_lineage", args=[chain[0].typeid])
    page = client.get(url).content.decode()
    assert "Secret" not in page and "more" not in page.split('id="table"')[1].split("</table>")[0]


def test_the_form_takes_identifiers(client, chain):
    url = reverse("registry:version_parents", args=[chain[3].typeid])
    client.post(url, {"parents": f"{chain[0].typeid}\n{chain[1].typeid}", "reason": "x"})
    assert VersionParent.objects.filter(version=chain[3]).count() == 2


def test_the_api_names_and_tells_the_lineage(client, chain):
    _, second, third, last = chain
    url = f"{API}/{last.typeid}/parents/"
    answer = client.put(url, {"parents": [second.typeid], "reason": "x"}, "application/json")
    assert answer.json()["parents"] == [second.typeid]
    told = client.get(f"{API}/{third.typeid}/lineage/").json()
    assert told["cut"] is False
    by_id = {node["id"]: node for node in told["nodes"]}
    assert by_id[third.typeid]["parents"] == [second.typeid] and by_id[second.typeid]["more"] == 1
