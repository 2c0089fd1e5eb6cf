"""What callers and tools rely on does not break unnoticed: before Candidate, and where a slot is bound at once."""

import pytest

from arm.models import ChangeRecord
from registry import services
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.models import VersionParent
from tests import make
from tests.registry.genomes import tool
from tests.registry.releasing import bound

pytestmark = pytest.mark.django_db
WHY = "Every caller was told in May"


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    settings.PROMOTION_GATES = ["registry.gates.compatibility.CompatibleWithBefore"]


@pytest.fixture
def rita(tenant):
    return make.everything(make.user("rita", member_of=tenant), tenant)


@pytest.fixture
def desk(tenant):
    return make.template()


def built(of, *tools, state="approved", **members):
    genome = make.genome(template=of, members={"tools": [tool(name) for name in tools], **members})
    return make.version(template=of, genome=genome, state=state)


@pytest.fixture
def old(desk):
    return built(desk, "search", "refund")


def propose(version, rita, **more):
    to = VersionState.CANDIDATE
    return services.move_version(version=version, to=to, actor=rita, reason="ready", **more)


def test_what_breaks_against_the_approved_version_keeps_a_version_in_testing(old, desk, rita):
    new = built(desk, "search", state="testing")
    with pytest.raises(GateRefused, match="The tool refund is gone") as refused:
        propose(new, rita)
    assert [one["gate"] for one in refused.value.extra["gates"]] == ["compatibility"]
    new.refresh_from_db()
    assert (new.state, new.accepted) == (VersionState.TESTING, {})


def test_a_recorded_reason_lets_it_through_and_stays_with_it(old, desk, rita):
    new = propose(built(desk, "search", state="testing"), rita, acknowledged=WHY)
    assert new.state == VersionState.CANDIDATE
    assert (new.accepted["why"], new.accepted["by"]) == (WHY, str(rita))
    assert new.accepted["against"] == [old.typeid]
    record = ChangeRecord.objects.get(verb="registry.version.moved")
    assert record.after["breaking"] == ["The tool refund is gone."] and record.after["acknowledged"] == WHY


def test_what_is_only_added_asks_for_nothing(old, desk, rita):
    assert propose(built(desk, "search", "refund", "mail", state="testing"), rita).accepted == {}


def test_the_first_of_its_kind_breaks_nothing(desk, rita):
    assert propose(built(desk, "search", state="testing"), rita).state == VersionState.CANDIDATE


def test_without_an_approved_version_the_parents_count(desk, rita):
    parent = built(desk, "search", "refund", state="testing")
    child = built(desk, "search", state="testing")
    VersionParent.objects.create(tenant=desk.tenant, version=child, parent=parent)
    with pytest.raises(GateRefused, match=f"Against {parent}"):
        propose(child, rita)


def test_what_was_accepted_once_is_asked_again_where_more_breaks(old, desk, rita):
    new = propose(built(desk, "search", state="testing"), rita, acknowledged=WHY)
    services.move_version(version=new, to=VersionState.TESTING, actor=rita, reason="back")
    assert propose(new, rita).state == VersionState.CANDIDATE, "nothing more breaks"
    services.move_version(version=new, to=VersionState.TESTING, actor=rita, reason="back")
    built(desk, "search", "refund", "mail")
    with pytest.raises(GateRefused, match="The tool mail is gone") as refused:
        propose(new, rita)
    assert "refund" not in str(refused.value), "that has been accepted"


def test_a_newer_approved_version_sends_no_candidate_back(old, desk, rita):
    new = propose(built(desk, "search", state="testing"), rita, acknowledged=WHY)
    built(desk, "search", "refund", "mail")
    assert services.recheck_candidates(tenant_id=desk.tenant_id) == []
    new.refresh_from_db()
    assert new.state == VersionState.CANDIDATE


def test_every_missing_thing_is_named_with_what_breaks(old, desk, rita, settings):
    settings.PROMOTION_GATES = ["evaluation.plugins.SuitesPassed", *settings.PROMOTION_GATES]
    make.assigned(desk)
    new = built(desk, "search", state="testing")
    with pytest.raises(GateRefused) as refused:
        propose(new, rita)
    assert len(refused.value.extra["gates"]) == 2


# a slot that is bound at once


@pytest.fixture
def slot(tenant, rita, old):
    return bound(make.slot(environment=make.environment("dev", risk_default="low")), old, actor=rita)


def bind(slot, version, rita, **more):
    return services.bind_slot(slot=slot, version=version, actor=rita, reason="go", **more)


def test_a_binding_that_breaks_something_takes_a_recorded_reason(slot, desk, rita):
    new = built(desk, "search")
    with pytest.raises(GateRefused, match="The tool refund is gone"):
        bind(slot, new, rita)
    slot.refresh_from_db()
    assert slot.current_version != new
    assert bind(slot, new, rita, acknowledged=WHY).current_version == new
    record = ChangeRecord.objects.filter(verb="registry.slot.bound").latest("pk")
    assert record.after["breaking"] == ["The tool refund is gone."] and record.after["acknowledged"] == WHY


def test_another_schema_of_a_tool_breaks_a_binding_too(slot, desk, rita):
    changed = tool("refund") | {"schema_digest": "sha256:" + "d" * 64}
    new = make.version(template=desk, state="approved", genome=make.genome(template=desk, members={"tools": [tool("search"), changed]}))  # fmt: skip
    with pytest.raises(GateRefused, match="The schema of the tool refund is another one"):
        bind(slot, new, rita)


def test_a_refused_binding_names_the_gates_and_what_breaks_at_once(slot, desk, rita):
    new = built(desk, "search", state="deprecated")
    with pytest.raises(GateRefused) as refused:
        bind(slot, new, rita)
    assert [one["gate"] for one in refused.value.extra["gates"]] == ["version may run", "compatibility"]


def test_a_rollback_asks_for_no_reason_for_what_breaks(slot, desk, rita):
    new = bind(slot, built(desk, "search", "refund", "mail"), rita)
    assert services.roll_back_slot(slot=new, actor=rita, reason="It lies").to_version


def test_the_api_and_the_pages_take_the_reason(client, slot, desk, rita):
    client.force_login(rita)
    new, other = built(desk, "search"), built(desk, "search", "mail", state="testing")
    api = "/api/v1/registry/"

    def send(path, **body):
        return client.post(api + path, {"reason": "go", **body}, content_type="application/json")

    refused = send(f"slots/{slot.typeid}/bind/", version=new.typeid)
    assert refused.status_code == 409 and refused.json()["gates"][0]["gate"] == "compatibility"
    page = f"{slot.get_absolute_url()}bind/"
    told = client.post(page, {"reason": "go", "version": new.typeid}).content.decode()
    assert "The tool refund is gone" in told and "Why breaking differences are accepted" in told
    assert client.post(page, {"reason": "go", "version": new.typeid, "acknowledged": WHY}).status_code == 302
    move = f"versions/{other.typeid}/move/"
    assert "is gone" not in send(move, to="candidate").json().get("detail", ""), "mail is new, nothing went"
    third = built(desk, state="testing")
    assert send(f"versions/{third.typeid}/move/", to="candidate").status_code == 409
    form = f"{third.get_absolute_url()}move/"
    assert "The tool search is gone" in client.get(f"{form}?to=candidate").content.decode()
    moved = client.post(form, {"reason": "go", "to": "candidate", "acknowledged": WHY})
    assert moved.status_code == 302
    assert WHY in client.get(third.get_absolute_url()).content.decode()
