"""What was running when X happened: two clocks, late words, and the same answer out of the change records."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from arm import clock
from arm.errors import Conflict, DomainError, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import queries, services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceInterval, InstanceStatus, Observation
from registry.queries.history import Moment, instances_at
from tests import make

pytestmark = pytest.mark.django_db
S = InstanceState
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def alice(settings):
    """May do everything in a tenant in which nothing more is asked before an instance is active."""
    settings.ACTIVATION_GATES = settings.RETIREMENT_GATES = []
    tenant = make.tenant("acme")
    return make.everything(make.user("alice", member_of=tenant), tenant)


def provisioned(by, at: datetime = NOON, name: str = "desk", **kw) -> AgentInstance:
    version = kw.pop("version", None) or make.approved()
    with clock.at(at):
        return services.provision_instance(
            version=version, environment=kw.get("environment") or make.environment(), provider=make.provider(),
            name=name, actor=by, reason="test",
        )  # fmt: skip


def moved(instance, to, by, at: datetime) -> None:
    with clock.at(at):
        services.move_instance(instance=instance, to=to, actor=by, reason="test")


def told(instance, state, since, by, at: datetime) -> None:
    with clock.at(at):
        services.tell_past(instance=instance, state=state, since=since, actor=by, reason="told late")


def state_at(instance, at: datetime, known: datetime | None = None) -> str | None:
    row = instances_at(Moment(at, known or at), AgentInstance.objects.filter(pk=instance.pk)).get()
    return row.then_state


def test_each_moment_has_the_state_that_began_last(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    moved(desk, S.PAUSED, alice, NOON + 2 * MINUTE)
    assert state_at(desk, NOON - MINUTE) is None
    assert state_at(desk, NOON) == "provisioning"
    assert state_at(desk, NOON + MINUTE - timedelta(microseconds=1)) == "provisioning"
    assert state_at(desk, NOON + MINUTE) == "active"
    assert state_at(desk, NOON + 9 * MINUTE) == "paused"


def test_a_late_word_counts_in_the_past_from_when_it_was_told_and_changes_nothing_now(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    moved(desk, S.PAUSED, alice, NOON + 10 * MINUTE)
    told(desk, S.QUARANTINED, NOON + 5 * MINUTE, alice, NOON + 60 * MINUTE)
    then = NOON + 7 * MINUTE
    assert state_at(desk, then, known=NOON + 59 * MINUTE) == "active"
    assert state_at(desk, then, known=NOON + 60 * MINUTE) == "quarantined"
    assert state_at(desk, NOON + 10 * MINUTE, known=NOON + 60 * MINUTE) == "paused"
    desk.refresh_from_db()
    assert (desk.state, desk.generation) == ("paused", 3)
    record = ChangeRecord.objects.about(desk).get(verb="registry.instance.past_told")
    assert record.before["state"] == "active" and record.after["state"] == "quarantined"
    assert record.after["since"] == "2026-03-01T12:05:00.000000Z"
    rows = InstanceInterval.objects.filter(instance=desk).order_by("since")
    assert [row.until for row in rows] == [*[row.since for row in rows][1:], None]  # without a gap


def test_a_correction_of_a_late_word_is_told_for_the_same_moment_and_counts_last(alice):
    desk = provisioned(alice)
    moved(desk, S.PAUSED, alice, NOON + 10 * MINUTE)
    told(desk, S.ACTIVE, NOON + 5 * MINUTE, alice, NOON + 20 * MINUTE)
    told(desk, S.READ_ONLY, NOON + 5 * MINUTE, alice, NOON + 30 * MINUTE)
    then = NOON + 6 * MINUTE
    assert state_at(desk, then, NOON + 25 * MINUTE) == "active"
    assert state_at(desk, then, NOON + 30 * MINUTE) == "read_only"


def test_what_ran_before_arm_knew_of_it_can_be_told(alice):
    desk = provisioned(alice)
    told(desk, S.ACTIVE, NOON - 60 * MINUTE, alice, NOON + MINUTE)
    assert state_at(desk, NOON - 30 * MINUTE, known=NOON + MINUTE) == "active"
    assert state_at(desk, NOON - 30 * MINUTE, known=NOON) is None


def test_the_present_is_moved_not_told(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    with pytest.raises(Conflict, match="Move it instead"):
        told(desk, S.PAUSED, NOON + 2 * MINUTE, alice, NOON + 5 * MINUTE)
    with pytest.raises(Invalid, match="not come yet"):
        told(desk, S.PAUSED, NOON + 9 * MINUTE, alice, NOON + 5 * MINUTE)
    with pytest.raises(Conflict, match="known to have been Provisioning"):
        told(desk, S.PROVISIONING, NOON + MINUTE / 2, alice, NOON + 5 * MINUTE)
    with pytest.raises(Invalid, match="another agent"), clock.at(NOON + 5 * MINUTE):
        services.tell_past(
            instance=desk, state=S.ACTIVE, since=NOON, version=make.approved(), actor=alice, reason="x"
        )
    assert InstanceInterval.objects.filter(instance=desk).count() == 2


def test_who_may_not_change_the_directory_tells_no_past(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    bob = make.user("bob", member_of=desk.tenant)
    make.grant(bob, desk.tenant, Right.READ_DIRECTORY, Right.RESTRICT_INSTANCE)
    with pytest.raises(NotAllowed):
        told(desk, S.PAUSED, NOON, bob, NOON + 5 * MINUTE)
    mallory = make.user("mallory", member_of=desk.tenant)
    assert Client().get(f"/registry/instances/{desk.typeid}/at/").status_code == 302
    assert signed_in(mallory).get(f"/registry/instances/{desk.typeid}/at/").status_code == 404


def test_no_late_word_loosens_who_may_release(alice):
    """What is read only and then paused needs an approver; that it was “active in between” is told too late for that."""
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    moved(desk, S.READ_ONLY, alice, NOON + 2 * MINUTE)
    moved(desk, S.PAUSED, alice, NOON + 10 * MINUTE)
    told(desk, S.ACTIVE, NOON + 5 * MINUTE, alice, NOON + 20 * MINUTE)
    make.user("bob", member_of=desk.tenant)  # the tenant is more than one person
    dan = make.user("dan", member_of=desk.tenant)
    make.grant(dan, desk.tenant, Right.RELEASE_INSTANCE)
    with pytest.raises(services.ApprovalNeeded):
        moved(desk, S.ACTIVE, dan, NOON + 21 * MINUTE)


# rebuilt from the records

MOVES = st.tuples(st.just("move"), st.sampled_from(list(S)), st.integers(0, 90))
TOLD = st.tuples(st.just("tell"), st.sampled_from(list(S)), st.integers(-30, 300))
HISTORIES = st.lists(st.one_of(MOVES, MOVES, TOLD), min_size=2, max_size=12)
MOMENTS = st.lists(st.tuples(st.integers(-40, 800), st.integers(0, 400)), min_size=6, max_size=6)


@dataclass
class Said:
    since: datetime
    known: datetime
    number: int
    state: str


def rebuilt(instance: AgentInstance, moment: Moment) -> str | None:
    """What the change records say, and nothing else: the latest that had begun, and of two the one told last."""
    said = []
    for number, record in enumerate(ChangeRecord.objects.about(instance).order_by("at", "pk")):
        state = record.after.get("state")
        if state and record.verb.startswith("registry.instance."):
            late = record.after.get("since")
            said.append(Said(datetime.fromisoformat(late) if late else record.at, record.at, number, state))
    had_begun = [one for one in said if one.since <= moment.at and one.known <= moment.known]
    last = max(had_begun, key=lambda one: (one.since, one.known, one.number), default=None)
    return last.state if last else None


def test_the_fleet_at_any_moment_is_what_the_change_records_tell(alice):
    version, place = make.approved(), make.environment()

    @settings(max_examples=25)
    @given(HISTORIES, MOMENTS)
    def equal(history, moments):
        desk = provisioned(alice, version=version, environment=place)
        now = NOON
        for verb, state, minutes in history:
            now += MINUTE + (minutes * MINUTE if verb == "move" else MINUTE)
            try:
                if verb == "move":
                    moved(desk, state, alice, now)
                else:
                    told(desk, state, NOON + minutes * MINUTE, alice, now)
            except DomainError:
                continue  # the lifecycle knows no such move, or it is no past
        for after, later in moments:
            at = NOON + after * MINUTE
            moment = Moment(at, at + later * MINUTE)
            assert state_at(desk, moment.at, moment.known) == rebuilt(desk, moment)

    equal()


# what was reported


def test_each_change_of_what_is_reported_is_kept_by_the_database_itself(alice):
    desk = provisioned(alice)
    for minute, state in ((1, "active"), (2, "active"), (3, "paused"), (4, "")):
        InstanceStatus.objects.filter(instance=desk).update(state=state, reported_at=NOON + minute * MINUTE)
    kept = Observation.objects.filter(instance=desk).order_by("pk").values_list("state", "at", "told_at")
    assert list(kept) == [(state, NOON + m * MINUTE, NOON + m * MINUTE) for m, state in ((1, "active"), (3, "paused"), (4, ""))]  # fmt: skip
    with pytest.raises(DatabaseError, match=r"append-only|permission denied"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM registry_observation")


def test_a_late_report_counts_in_history_and_does_not_undo_a_newer_one(alice):
    desk = provisioned(alice)
    with clock.at(NOON + 10 * MINUTE):
        services.heartbeat(instance=desk, state="active", generation=1, observed_at=NOON + 8 * MINUTE)
    with clock.at(NOON + 20 * MINUTE):
        services.heartbeat(instance=desk, state="paused", generation=1, observed_at=NOON + 5 * MINUTE)
    desk.status.refresh_from_db()
    assert desk.status.state == "active" and desk.status.heartbeat_at == NOON + 20 * MINUTE

    def reported(at, known):
        found = queries.history.observed_at(Moment(NOON + at * MINUTE, NOON + known * MINUTE), [desk.pk])
        return found[desk.pk].state if desk.pk in found else None

    assert reported(6, 15) is None
    assert reported(6, 20) == "paused"
    assert reported(9, 20) == "active"
    with pytest.raises(Invalid, match="not come yet"), clock.at(NOON):
        services.heartbeat(instance=desk, state="active", observed_at=NOON + 5 * MINUTE)


# the pages and the API


def signed_in(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


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
        return str([line["label"] for section in answer["sections"] for line in section["lines"]])

    assert said(14) == "[]"
    assert "Stop: Paused" in said(20) and "Pay the invoice" in said(20)
    assert "Stop" not in said(30) and "Pay the invoice" in said(30)
    assert "Pay the invoice" not in said(40)
    assert "Delete all" not in said(20)


def test_two_moments_are_compared_by_page_and_api(alice, story):
    client = signed_in(alice)
    asked = "from=2026-03-01T12:02:00Z&to=2026-03-01T12:20:00Z"
    assert "Active → Paused" in client.get(f"/registry/fleet/changed/?{asked}").content.decode()
    answer = client.get(f"/api/v1/registry/fleet-at/changed/?{asked}").json()
    assert [(one["id"], one["words"]) for one in answer] == [(story.typeid, "Active → Paused")]
    began = client.get(
        "/api/v1/registry/fleet-at/changed/?from=2026-03-01T10:00:00Z&to=2026-03-01T12:20:00Z"
    ).json()
    assert began[0]["before"] is None and began[0]["after"]["state"] == "paused"
    blank = client.get("/registry/fleet/changed/").content.decode()
    assert "Nothing changed" not in blank and "Instances that were otherwise" not in blank
    narrowed = f"{asked}&version={make.approved().typeid}"
    assert client.get(f"/api/v1/registry/fleet-at/changed/?{narrowed}").json() == []
    assert client.get(f"/api/v1/registry/fleet-at/{story.typeid}/?at=2026-03-01T12:07:00Z").status_code == 404
    wrong = client.get("/api/v1/registry/fleet-at/changed/?from=2026-03-01T10:00:00Z")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/to")
    wrong = client.get("/api/v1/registry/fleet-at/changed/?from=x&to=2026-03-01T10:00:00Z")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/from")


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
