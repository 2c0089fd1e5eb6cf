"""What was running when X happened, as pages, API and CSV tell it."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arm import clock
from arm.errors import Conflict
from arm.rights import Right
from registry import queries, services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, InstanceInterval, words
from registry.queries.history import Moment
from registry.views.history import FleetAt
from tests import make
from tests.registry.past import MINUTE, NOON, moved, provisioned, signed_in, state_at, told

pytestmark = pytest.mark.django_db
S = InstanceState


@pytest.fixture(autouse=True)
def _nothing_more_is_asked(settings):
    """Before an instance is active, or retired."""
    settings.ACTIVATION_GATES = settings.RETIREMENT_GATES = []


@pytest.fixture
def story(alice):
    """Active at 12:01, paused at 12:10; told at 13:00 that it had been read only from 12:05."""
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    moved(desk, S.PAUSED, alice, NOON + 10 * MINUTE)
    told(desk, S.READ_ONLY, NOON + 5 * MINUTE, alice, NOON + 60 * MINUTE)
    return desk


def test_the_page_of_a_moment_shows_who_was_there_with_state_version_and_permalink(alice, story):
    client = signed_in(alice)
    page = client.get("/registry/fleet/?at=2026-03-01T12:07:00Z").content.decode()
    row = page.split("<tbody>")[-1]
    assert "Read-only" in row and "told" in row and "Paused" not in row
    assert f"/registry/instances/{story.typeid}/at/?at=2026-03-01T12%3A07%3A00.000000Z&amp;known=" in page
    before = client.get(
        "/registry/fleet/?at=2026-03-01T12:07:00Z&known=2026-03-01T12:59:00Z"
    ).content.decode()
    assert "told" not in before.split("<tbody>")[-1]
    nobody = client.get("/registry/fleet/?at=2026-03-01T11:00:00Z").content.decode()
    assert "Nothing ran then" in nobody
    for wrong in (
        "?at=yesterday",
        "?at=2999-01-01T00:00:00Z",
        "?at=2026-03-01T12:07:00Z&known=2026-03-01T12:00:00Z",
    ):
        assert "No such moment" in client.get(f"/registry/fleet/{wrong}").content.decode(), wrong
    mallory = signed_in(make.user("mallory", member_of=story.tenant))
    assert story.name not in mallory.get("/registry/fleet/?at=2026-03-01T12:07:00Z").content.decode()


@pytest.mark.parametrize(("few", "asked"), [(1000, "key"), (0, "pattern")])
def test_then_is_searched_by_words_as_today_is(alice, story, monkeypatch, few, asked):
    monkeypatch.setattr(words, "FEW", few)
    make.instance(name="another", version=story.version)
    client = signed_in(alice)

    def found(text):
        page = client.get("/registry/fleet/", {"at": "2026-03-01T12:07:00Z", "q": text})
        answer = client.get("/api/v1/registry/fleet-at/", {"at": "2026-03-01T12:07:00Z", "q": text}).json()
        said = [row["id"] for row in answer["results"]]
        assert said == [row.instance.typeid for row in page.context["rows"]], asked
        return said

    first, *_ = words.words_of(story.name)
    assert found(first) == found(first.upper()) == found(first[:2]) == found(story.typeid) == [story.typeid]
    assert found("another") == found(first[1:]) == []  # began later; no word begins in the middle


def test_the_page_counts_by_environment_and_state_until_there_are_too_many(alice, story, monkeypatch):
    provisioned(alice, name="second", version=story.version, environment=story.environment)
    client, address = signed_in(alice), "/registry/fleet/?at=2026-03-01T12:07:00Z"
    counted = [count.states for count in client.get(address).context["counts"]]
    assert counted == [{"read_only": 1, "provisioning": 1}]
    only = client.get(f"{address}&state=read_only").context["counts"]
    assert [count.states for count in only] == [{"read_only": 1}]
    monkeypatch.setattr(queries.history, "COUNTED", 1)
    assert "Too many to count by state" in client.get(address).content.decode()
    many = client.get("/registry/fleet/changed/?from=2026-03-01T12:07:00Z").content.decode()
    assert "Too many to compare" in many
    refused = client.get(
        "/api/v1/registry/fleet-at/changed/?from=2026-03-01T12:07:00Z&to=2026-03-01T12:08:00Z"
    )
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "too_many")


def test_of_many_more_some_are_looked_at_and_of_few_all(alice, story, monkeypatch):
    """Five of six say already that there are more than four. Of four that were there, among others that were not, all count."""
    monkeypatch.setattr(queries.history, "COUNTED", 4)
    before = queries.Moment.of(NOON - MINUTE, None)
    for number in range(5):
        provisioned(alice, name=f"more-{number}", version=story.version, environment=story.environment)
    everyone = AgentInstance.objects.all()
    with CaptureQueriesContext(connection) as asked:
        assert queries.counts(queries.Moment.of(None, None), everyone) is None
    assert len(asked) == 1 and "LIMIT 5" in asked[0]["sql"]
    some = AgentInstance.objects.filter(name__in=["more-0", "more-1", "more-2", "more-3"])
    assert sum(count.total for count in queries.counts(queries.Moment.of(None, None), some)) == 4
    assert not queries.counts(before, some), "not one of them was there before it was provisioned"
    assert queries.counts(before, AgentInstance.objects.none()) == ()


def test_a_long_comparison_is_cut_on_its_page_and_says_so(alice, story, monkeypatch):
    provisioned(alice, name="aaa", version=story.version, environment=story.environment)
    monkeypatch.setattr("registry.views.history.SHOWN", 1)
    page = signed_in(alice).get("/registry/fleet/changed/?from=2026-03-01T10:00:00Z&to=2026-03-01T12:20:00Z")
    assert "these are the first 1 by name" in page.content.decode()
    assert [row.instance.name for row in page.context["changed"].rows] == ["aaa"]


def test_a_retired_instance_is_shown_then_and_not_after(alice, story):
    moved(story, S.QUARANTINED, alice, NOON + 70 * MINUTE)
    moved(story, S.RETIRED, alice, NOON + timedelta(days=2))
    client = signed_in(alice)
    assert story.name in client.get("/registry/fleet/?at=2026-03-01T12:07:00Z").content.decode()
    assert "Nothing ran then" in client.get("/registry/fleet/?at=2026-03-05T00:00:00Z").content.decode()
    assert story.name in client.get("/registry/fleet/?at=2026-03-05T00:00:00Z&state=retired").content.decode()


def test_the_page_of_an_instance_then_leads_to_genome_policy_version_and_owners(alice, story):
    policy = make.bound(story.template)
    (active,) = policy.versions.all()
    services.set_owners(template=story.template, owners=[alice], actor=alice, reason="she answers for it")
    page = signed_in(alice).get(f"/registry/instances/{story.typeid}/at/").content.decode()
    assert story.version.genome.digest in page
    assert active.get_absolute_url() in page and f"version {active.number}, on" in page
    owners = page.split("Owners")[1].split("Before")[0]
    assert alice.username in owners
    early = (
        signed_in(alice)
        .get(f"/registry/instances/{story.typeid}/at/?at=2026-03-01T12:07:00Z")
        .content.decode()
    )
    assert "No policy held for it." in early  # it was bound later
    assert alice.username not in early.split("Owners")[1].split("Before")[0]
    absent = signed_in(alice).get(f"/registry/instances/{story.typeid}/at/?at=2026-01-01T00:00:00Z")
    assert "It was not there" in absent.content.decode()


def test_an_instance_then_is_shown_with_the_stops_that_stood_and_what_was_approved(alice, story):
    """A pause of 12:15 to 12:30, and a call that was approved at 12:15, until 12:45, and used at 12:40."""
    make.posture(
        story.template,
        mode="paused",
        set_at=NOON + 15 * MINUTE,
        lifted_at=NOON + 30 * MINUTE,
        reason="Looked into",
    )
    make.approval(
        story, title="Pay the invoice", state="consumed", decided_at=NOON + 15 * MINUTE, expires_at=NOON + 45 * MINUTE, closed_at=NOON + 40 * MINUTE,
    )  # fmt: skip
    make.approval(
        story,
        title="Delete all",
        state="denied",
        decided_at=NOON + 15 * MINUTE,
        expires_at=NOON + 45 * MINUTE,
    )
    client = signed_in(alice)

    def said(minute: int) -> str:
        at = clock.exactly(NOON + minute * MINUTE)
        answer = client.get(f"/api/v1/registry/instances/{story.typeid}/at/", {"at": at}).json()
        return str(
            [(line["label"], line["text"]) for section in answer["sections"] for line in section["lines"]]
        )

    assert said(14) == "[]"
    assert "Stop: Paused" in said(20) and "Pay the invoice" in said(20)
    assert "Stop" not in said(30) and "Pay the invoice" in said(30)
    assert "usable once" in said(39) and "usable once" not in said(40)
    assert "used 2026" in said(40) and "used" not in said(39)
    assert "Delete all" not in said(20)


def test_an_emptied_slot_is_bound_to_nothing_from_then_on(alice, settings):
    settings.BINDING_GATES = []
    slot, build = make.slot(), make.approved()
    with clock.at(NOON):
        services.bind_slot(slot=slot, version=build, actor=alice, reason="go")
    with clock.at(NOON + 10 * MINUTE):
        services.empty_slot(slot=slot, actor=alice, reason="over")

    def bound(minutes):
        moment = NOON + minutes * MINUTE
        found = queries.history.bound_at(Moment(moment, moment), [slot.pk])
        return found[slot.pk].version if found else None

    assert [bound(minutes) for minutes in (-1, 0, 9, 10, 11)] == [None, build, build, None, None]


def test_nobody_had_approved_a_version_then_that_had_become_a_candidate_anew(alice, settings):
    settings.PROMOTION_GATES = ["registry.gates.approving.QuorumReached"]
    build = make.version(created_by=alice)
    bob = make.everything(make.user("bob", member_of=build.tenant), build.tenant)
    desk = make.instance(version=build)
    told(desk, S.PAUSED, NOON - MINUTE, alice, clock.now())
    services.require_approvals(tenant=desk.tenant, by_risk={"medium": 2}, actor=alice, reason="four eyes")
    steps = ["testing", "candidate", None, "testing", "candidate"]
    for minute, to in enumerate(steps):
        with clock.at(NOON + minute * MINUTE):
            if to is None:
                services.approve_version(version=build, actor=bob, reason="seen")
            else:
                services.move_version(version=build, to=VersionState(to), actor=alice, reason="go")

    def approved(minutes):
        moment = NOON + minutes * MINUTE
        sections = queries.history.past_page(desk, Moment(moment, clock.now()), alice).sections
        (lines,) = [one.lines for one in sections if one.title == "Approvals of the version then"]
        return [line.label for line in lines]

    assert [approved(minutes) for minutes in (1, 2, 3, 4, 9)] == [[], ["bob"], ["bob"], [], []]


def test_two_moments_are_compared_by_page_and_api(alice, story):
    client = signed_in(alice)
    asked = "from=2026-03-01T12:02:00Z&to=2026-03-01T12:20:00Z"
    assert "Active → Paused" in client.get(f"/registry/fleet/changed/?{asked}").content.decode()
    answer = client.get(f"/api/v1/registry/fleet-at/changed/?{asked}").json()
    assert [(one["id"], one["words"]) for one in answer["changed"]] == [(story.typeid, "Active → Paused")]
    said = (answer["from"]["at"], answer["to"]["at"])
    assert said == ("2026-03-01T12:02:00.000000Z", "2026-03-01T12:20:00.000000Z"), "as permalinks say it"
    assert answer["from"]["known"] == answer["to"]["known"], "one now for both"
    assert not answer["from"]["settled"], "`known` was left out: it is now"
    stays = f"{asked}&from_known=2026-03-02T00:00:00Z&to_known=2026-03-02T00:00:00Z"
    for side in ("from", "to"):
        told = client.get(f"/api/v1/registry/fleet-at/changed/?{stays}").json()[side]
        assert (told["known"], told["settled"]) == ("2026-03-02T00:00:00.000000Z", True)
    began = client.get(
        "/api/v1/registry/fleet-at/changed/?from=2026-03-01T10:00:00Z&to=2026-03-01T12:20:00Z"
    ).json()
    (one,) = began["changed"]
    assert one["before"] is None and one["after"]["state"] == "paused"
    blank = client.get("/registry/fleet/changed/").content.decode()
    assert "Nothing changed" not in blank and "Instances that were otherwise" not in blank
    narrowed = f"{asked}&version={make.approved().typeid}"
    assert client.get(f"/api/v1/registry/fleet-at/changed/?{narrowed}").json()["changed"] == []
    assert client.get(f"/api/v1/registry/fleet-at/{story.typeid}/?at=2026-03-01T12:07:00Z").status_code == 404
    wrong = client.get("/api/v1/registry/fleet-at/changed/?from=2026-03-01T10:00:00Z")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/to")
    wrong = client.get("/api/v1/registry/fleet-at/changed/?from=x&to=2026-03-01T10:00:00Z")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/from")


def test_who_only_changed_the_version_neither_began_nor_ended_whichever_of_both_is_asked_for(alice):
    old = make.approved()
    new = make.approved(template=old.template)
    desk = provisioned(alice, version=old)
    InstanceInterval.objects.filter(instance=desk).update(until=NOON + 10 * MINUTE)
    at = NOON + 10 * MINUTE
    InstanceInterval.objects.create(
        tenant=desk.tenant, instance=desk, version=new, state=desk.state, since=at, known_from=at
    )
    client = signed_in(alice)
    asked = "from=2026-03-01T12:05:00Z&to=2026-03-01T12:20:00Z"
    for build in (old, new):
        narrowed = f"{asked}&version={build.typeid}"
        (row,) = client.get(f"/api/v1/registry/fleet-at/changed/?{narrowed}").json()["changed"]
        assert (row["before"]["version"], row["after"]["version"]) == (old.typeid, new.typeid)
        page = client.get(f"/registry/fleet/changed/?{narrowed}").content.decode()
        assert row["words"] in page and "began" not in row["words"] and "ended" not in row["words"]
    narrowed = f"{asked}&version={make.approved().typeid}"
    assert client.get(f"/api/v1/registry/fleet-at/changed/?{narrowed}").json()["changed"] == []


def test_the_api_answers_a_moment_by_both_clocks(alice, story):
    client = signed_in(alice)
    answer = client.get(
        "/api/v1/registry/fleet-at/?at=2026-03-01T12:07:00Z&known=2026-03-01T12:30:00Z"
    ).json()
    assert [(one["id"], one["state"]) for one in answer["results"]] == [(story.typeid, "active")]
    late = client.get("/api/v1/registry/fleet-at/?at=2026-03-01T12:07:00Z&known=2026-03-01T13:00:00Z").json()
    assert late["results"][0]["state"] == "read_only" and late["results"][0]["observed"] is None
    one = client.get(f"/api/v1/registry/instances/{story.typeid}/at/?at=2026-03-01T12:07:00Z").json()
    assert one["then"]["state"] == "read_only" and one["genome"] == story.version.genome.digest
    assert (
        client.get(f"/api/v1/registry/instances/{story.typeid}/at/?at=2026-01-01T00:00:00Z").status_code
        == 404
    )
    wrong = client.get("/api/v1/registry/fleet-at/?at=nonsense")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/at")
    told_now = client.post(
        f"/api/v1/registry/instances/{story.typeid}/past/",
        {"state": "draining", "since": "2026-03-01T12:02:00Z", "reason": "found in their log"},
        content_type="application/json",
    )
    assert told_now.status_code == 201, told_now.content
    assert told_now.json()["until"] == "2026-03-01T12:05:00Z"


def test_a_person_tells_the_past_by_the_form_of_the_instance(alice, story):
    client = signed_in(alice)
    form = {"state": "draining", "since": "2026-03-01T12:02", "reason": "found in their log"}
    answer = client.post(f"/registry/instances/{story.typeid}/past/", form)
    assert answer.status_code == 302
    assert state_at(story, NOON + 3 * MINUTE, clock.now()) == "draining"
    refused = client.post(f"/registry/instances/{story.typeid}/past/", form | {"since": "2026-03-01T13:02"})
    assert "Move it instead" in refused.content.decode()


def test_the_csv_of_a_moment_says_both_clocks(alice, story):
    make.grant(alice, story.tenant, Right.EXPORT)
    rows = (
        signed_in(alice)
        .get("/registry/fleet/?at=2026-03-01T12:07:00Z&format=csv")
        .content.decode()
        .splitlines()
    )
    assert rows[0].startswith("id,name,agent,version,environment,provider,state,at,known")
    assert story.typeid in rows[1] and "read_only,2026-03-01T12:07:00.000000Z" in rows[1]


def test_the_page_costs_no_more_statements_with_more_instances(alice, story):
    client = signed_in(alice)
    address = "/registry/fleet/?at=2026-03-01T12:07:00Z"
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for number in range(8):
        provisioned(alice, name=f"more-{number}", version=story.version, environment=story.environment)
    with CaptureQueriesContext(connection) as more:
        assert "more-7" in client.get(address).content.decode()
    assert len(more) == len(few)


@pytest.mark.parametrize("ago", [30, 61])
def test_what_may_still_change_is_said_to_be_unsettled(alice, story, ago):
    client, moment = signed_in(alice), clock.now() - timedelta(seconds=ago)
    both = {"at": clock.exactly(moment), "known": clock.exactly(moment)}
    settled = ago > 60
    for query in (both, both | {"template": make.template().typeid}):  # with a row, and with none
        answer = client.get("/api/v1/registry/fleet-at/", query).json()
        assert {name: answer[name] for name in both} == both and answer["settled"] is settled
    instance = client.get(f"/api/v1/registry/instances/{story.typeid}/at/", both).json()
    assert instance["settled"] is settled
    for page in ("/registry/fleet/", f"/registry/instances/{story.typeid}/at/"):
        said = "may still be on its way" in client.get(page, both).content.decode()
        assert said is not settled, page
    table = client.get("/registry/fleet/", both | {"format": "csv"}).content.decode()
    assert table.splitlines()[0].endswith(",settled") and table.splitlines()[1].endswith(
        ",yes" if settled else ",no"
    )


def test_a_clock_that_is_left_out_is_now_and_named(alice, story):
    answer = signed_in(alice).get("/api/v1/registry/fleet-at/?at=2026-03-01T12:07:00Z").json()
    assert answer["at"] == "2026-03-01T12:07:00.000000Z" and answer["known"] > answer["at"]
    assert answer["settled"] is False, "what is told now of then is on its way"


def test_what_was_retired_did_not_come_back_then(alice, story):
    gone = provisioned(alice)
    moved(gone, S.RETIRED, alice, NOON + 30 * MINUTE)
    for state, minute, said in ((S.ACTIVE, 40, "present"), (S.RETIRED, -5, "was not Retired before")):
        with pytest.raises(Conflict, match=said):
            told(gone, state, NOON + minute * MINUTE, alice, NOON + 60 * MINUTE)
    with pytest.raises(Conflict, match="Paused from 2026-03-01 12:10:00 UTC on: it was not Retired before"):
        told(story, S.RETIRED, NOON + 7 * MINUTE, alice, NOON + 90 * MINUTE)
    told(gone, S.PAUSED, NOON + 5 * MINUTE, alice, NOON + 60 * MINUTE)
    told(gone, S.RETIRED, NOON + 20 * MINUTE, alice, NOON + 61 * MINUTE)
    with pytest.raises(Conflict, match="is known to have been Retired since 2026-03-01 12:20:00 UTC"):
        told(gone, S.ACTIVE, NOON + 25 * MINUTE, alice, NOON + 62 * MINUTE)


def test_all_pages_of_a_question_are_of_the_moment_of_the_first(alice, monkeypatch):
    for minute in range(3):
        moved(provisioned(alice), S.ACTIVE, alice, NOON + minute * MINUTE)
    client = signed_in(alice)
    first = client.get("/api/v1/registry/fleet-at/?page_size=2").json()
    late = AgentInstance.objects.order_by("pk").first()
    moved(late, S.PAUSED, alice, clock.now())
    second = client.get(first["next"]).json()
    assert (second["at"], second["known"]) == (first["at"], first["known"])
    assert [(row["id"], row["state"]) for row in second["results"]] == [(late.typeid, "active")]
    back = client.get(second["previous"]).json()
    assert (back["at"], len(back["results"])) == (first["at"], 2)
    monkeypatch.setattr(FleetAt, "page_size", 2)
    page = client.get("/registry/fleet/").content.decode()
    (older,) = set(re.findall(r'href="(\?[^"]*cursor=[^"]*)"', page))
    assert "at=" in older and "known=" in older


def test_a_question_that_there_is_not_is_refused(alice, story):
    client = signed_in(alice)
    both = "from=2026-03-01T12:00:00Z&to=2026-03-01T12:07:00Z"
    for url in (
        f"/api/v1/registry/fleet-at/changed/?{both}&bogus=1",
        f"/api/v1/registry/fleet-at/changed/?{both}&state=active",
        f"/api/v1/registry/versions/{story.version.typeid}/diff/?bogus=1",
        "/api/v1/registry/fleet-at/?bogus=1",
    ):
        answer = client.get(url)
        assert answer.status_code == 422, url
        assert [problem["code"] for problem in answer.json()["errors"]] == ["unknown"], url


def test_a_moment_that_makes_no_sense_is_named_by_a_code(alice, story):
    ask = signed_in(alice).get
    soon = clock.exactly(clock.now() + 60 * MINUTE)
    ahead = ask("/api/v1/registry/fleet-at/", {"at": soon}).json()["errors"]
    assert ("/at", "future") in [(error["pointer"], error["code"]) for error in ahead]
    before = "at=2026-03-01T12:07:00Z&known=2026-03-01T12:00:00Z"
    (error,) = ask(f"/api/v1/registry/fleet-at/?{before}").json()["errors"]
    assert (error["pointer"], error["code"]) == ("/known", "told_before")
