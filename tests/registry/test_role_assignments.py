"""A role is given to versions that have what it asks; who lacks something is told everything that is missing."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right, Risk
from registry import fitness, queries, services
from registry.gates import GateRefused
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentVersion, InstanceStatus, RoleAssignment
from registry.staffing import Certified
from tests import make

pytestmark = pytest.mark.django_db


class Measured:
    """Scores as the app above would tell them."""

    scores: dict = {}

    def of(self, version):
        return self.scores

    def mend(self, version, capability):
        return f"/measure/{capability}/"


class Certifier:
    held: dict = {}

    def of(self, version):
        return self.held

    def mend(self, version, certification):
        return f"/certify/{certification}/"


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Production")


@pytest.fixture
def rita(acme):
    """Release manager."""
    rita = make.user("rita", member_of=acme)
    make.grant(rita, acme, Right.PROMOTE_RELEASE, Right.MANAGE_DIRECTORY, Right.READ_DIRECTORY)
    return rita


@pytest.fixture
def told(settings, monkeypatch):
    """What the apps above say of every version."""
    settings.CAPABILITIES = f"{__name__}.Measured"
    settings.CERTIFICATIONS = f"{__name__}.Certifier"

    def tell(scores=(), held=()):
        now = clock.now()
        monkeypatch.setattr(
            Measured,
            "scores",
            {name: fitness.Score(Decimal(str(p)), "“s”", now) for name, p in dict(scores).items()},
        )
        monkeypatch.setattr(
            Certifier, "held", {slug: fitness.Held(standing, now) for slug, standing in dict(held).items()}
        )

    tell()
    return tell


def demanding(**kw):
    return make.role(
        "refund-clerk",
        **{
            "capabilities": [{"name": "german", "least": 60}, {"name": "refunds", "least": 80}],
            "certifications": ["iso", "pci"],
            "tier": 2,
            "risk": Risk.MEDIUM,
        }
        | kw,
    )


def assign(role, environment, actor, version=None, **kw):
    return services.assign_role(
        role=role, environment=environment, version=version, actor=actor, reason="staff it", **kw
    )


def test_a_version_that_has_everything_does_the_job(told, prod, rita):
    told({"refunds": 80, "german": "99.9"}, {"iso": Certified.VALID, "pci": Certified.VALID})
    role, version = demanding(), make.approved()
    made = assign(role, prod, rita, version)
    assert (made.standing, made.assigned_by, made.until) == ("active", rita, None)
    record = ChangeRecord.objects.get(verb="registry.role.assigned")
    assert record.after["genome"] == version.genome.digest and record.after["revision"] == 1
    assert {gate["gate"] for gate in record.after["gates"]} >= {"capability refunds", "certification pci"}


def test_a_refusal_names_every_missing_thing_at_once(told, prod, rita):
    told({"refunds": "79.9"}, {"iso": Certified.EXPIRED})
    risky = make.template(risk=Risk.CRITICAL)
    bold = make.genome(template=risky, members={"behavior": {"autonomy_tier_max": 4}})
    version = make.approved(template=risky, genome=bold)
    with pytest.raises(GateRefused) as refused:
        assign(demanding(), prod, rita, version)
    said = {gate["gate"]: gate["reason"] for gate in refused.value.extra["gates"]}
    assert said["capability refunds"] == "Capability refunds: 79.9 % by “s”, 80 % needed."
    assert said["capability german"] == "Capability german: never measured on this genome, 60 % needed."
    assert said["certification iso"].startswith("Certification iso is expired on")
    assert said["certification pci"] == "Certification pci is missing on this genome."
    assert "critical risk; the role takes medium" in said["risk class"]
    assert said["autonomy tier"] == "The genome allows autonomy tier 4; the role's is 2."
    assert len(said) == 6 and not RoleAssignment.objects.exists()


@pytest.mark.parametrize("standing", [one for one in Certified if one is not Certified.VALID])
def test_only_a_valid_certification_counts(told, prod, rita, standing):
    told(held={"pci": standing})
    with pytest.raises(GateRefused, match="Certification pci is"):
        assign(make.role(certifications=["pci"]), prod, rita, make.approved())


def test_where_nobody_knows_what_versions_can_do_nothing_is_held(settings, prod, rita):
    settings.CAPABILITIES = settings.CERTIFICATIONS = ""
    with pytest.raises(GateRefused) as refused:
        assign(demanding(), prod, rita, make.approved())
    assert len(refused.value.extra["gates"]) == 4


def test_a_version_that_may_not_run_there_is_not_assigned_there(prod, rita):
    with pytest.raises(GateRefused, match="approved versions only"):
        assign(make.role(), prod, rita, make.version(state=VersionState.TESTING))


def test_a_slot_asks_what_its_role_asks(told, prod, rita):
    slot = make.slot(environment=prod, role=demanding())
    told({"refunds": 70, "german": 70}, {"iso": Certified.VALID})
    with pytest.raises(GateRefused) as refused:
        services.bind_slot(slot=slot, version=make.approved(), actor=rita, reason="go")
    said = refused.value.message
    assert "refunds: 70 %" in said and "80 % needed" in said and "pci is missing" in said
    told({"refunds": 90, "german": 70}, {"iso": Certified.VALID, "pci": Certified.VALID})
    services.bind_slot(slot=slot, version=make.approved(), actor=rita, reason="go")


def test_an_instance_whose_version_lost_what_its_role_asks_is_not_activated(told, prod, rita):
    role = make.role(certifications=["pci"])
    instance = make.instance(environment=prod, role=role, state=InstanceState.PROVISIONING)
    verdict = fitness.InstanceFitsItsRole().check(instance)
    assert not verdict.passed and "pci" in verdict.reason
    told(held={"pci": Certified.VALID})
    assert fitness.InstanceFitsItsRole().check(instance).passed
    free = make.instance(environment=prod, state=InstanceState.PROVISIONING)
    assert not fitness.InstanceFitsItsRole().check(free).applies


def test_where_the_tenant_asks_for_evidence_production_takes_verified_cards_only(acme, prod, rita):
    role, version = make.role(), make.approved()
    services.require_evidence(tenant=acme, required=True, actor=rita, reason="Audit")
    with pytest.raises(GateRefused, match="no verified Agent Card, which it takes because Production is"):
        assign(role, prod, rita, version)
    dev = make.environment("dev")
    assign(role, dev, rita, version)
    risky = make.role(risk=Risk.HIGH)
    with pytest.raises(GateRefused, match="because dev has a role of high risk"):
        assign(risky, dev, rita, version)
    card = make.card(version)
    type(card.artefact).objects.filter(pk=card.artefact_id).update(state="verified")
    assign(role, prod, rita, version)
    assert ChangeRecord.objects.get(verb="registry.evidence.required").after == {"verified_evidence": True}


@pytest.mark.parametrize("tier", [0, 2, 4])
def test_a_genome_that_says_no_tier_is_not_fit_where_the_role_takes_less_than_any(told, prod, rita, tier):
    silent = make.template()
    version = make.approved(template=silent, genome=make.genome(template=silent, members={"behavior": {}}))
    with pytest.raises(GateRefused) as refused:
        assign(make.role(tier=tier), prod, rita, version)
    (gate,) = refused.value.extra["gates"]
    assert gate["gate"] == "autonomy tier" and gate["mend"].endswith("#genome")
    assert gate["reason"].startswith("The genome does not say which autonomy tier it allows at most")
    slot = make.slot(environment=prod, role=make.role(tier=tier))
    with pytest.raises(GateRefused, match="does not say which autonomy tier"):
        services.bind_slot(slot=slot, version=version, actor=rita, reason="go")
    assign(make.role(tier=5), prod, rita, version)


@pytest.mark.parametrize("state", [VersionState.DRAFT, VersionState.DEPRECATED, VersionState.RETIRED])
def test_who_does_not_run_any_more_or_yet_is_not_called_fit(client, told, acme, rita, state):
    role, version, dev = make.role("clerk"), make.approved(), make.environment("dev")
    assign(role, dev, rita, version)
    AgentVersion.objects.filter(pk=version.pk).update(state=state)
    client.force_login(rita)
    page = client.get(role.get_absolute_url()).content.decode()
    said = f"{version} is {state.label} and may not run."
    assert "No longer fits" in page and said in page and ">Fits</span>" not in page
    check = f"/api/v1/registry/roles/{role.typeid}/check/?environment=dev&version={version.typeid}"
    answer = client.get(check).json()
    assert [row["reason"] for row in answer if not row["passed"]] == [said]


# time


def test_the_same_assignment_does_not_overlap_with_itself(prod, rita):
    role, version, now = make.role(), make.approved(), clock.now()
    held = assign(role, prod, rita, version, until=now + timedelta(days=7))
    with pytest.raises(services.Duplicate) as refused:
        assign(role, prod, rita, version, since=now + timedelta(days=6))
    assert refused.value.existing == held
    later = assign(role, prod, rita, version, since=now + timedelta(days=7))
    assert later.standing == "planned"
    assign(role, make.environment("dev"), rita, version)
    assign(role, prod, rita, make.approved())


def test_the_database_itself_refuses_an_overlap(prod):
    role, version = make.role(), make.approved()
    make.role_assignment(role=role, environment=prod, version=version)
    with pytest.raises(IntegrityError, match="assignment_no_overlap"), transaction.atomic():
        make.role_assignment(role=role, environment=prod, version=version)
    instance = make.instance(version=version, environment=prod)
    make.role_assignment(role=role, environment=prod, version=version, instance=instance)
    make.role_assignment(
        role=role,
        environment=prod,
        version=version,
        instance=make.instance(version=version, environment=prod),
    )


def test_an_assignment_is_ended_once_and_its_past_stays(prod, rita):
    made = assign(make.role(), prod, rita, make.approved())
    ended = services.end_assignment(assignment=made, actor=rita, reason="Replaced")
    assert ended.standing == "ended"
    assert ChangeRecord.objects.get(verb="registry.role.unassigned").reason == "Replaced"
    with pytest.raises(Conflict, match="ended on"):
        services.end_assignment(assignment=made, actor=rita, reason="again")
    for change in ({"until": None}, {"reason": "other"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            RoleAssignment.objects.filter(pk=made.pk).update(**change)


def test_what_has_not_begun_can_be_taken_back(prod, rita):
    role, version, soon = make.role(), make.approved(), clock.now() + timedelta(days=1)
    made = assign(role, prod, rita, version, since=soon)
    services.end_assignment(assignment=made, actor=rita, reason="Not needed")
    again = assign(role, prod, rita, version, since=soon)  # an empty time overlaps with nothing
    made.refresh_from_db()
    assert made.until == made.since and (again.since, again.until) == (soon, None)


@pytest.mark.parametrize(
    ("since", "until", "pointer"),
    [(timedelta(days=-1), None, "/since"), (timedelta(), timedelta(), "/until")],
)
def test_an_assignment_begins_now_or_later_and_ends_after_that(prod, rita, since, until, pointer):
    now = clock.now()
    with pytest.raises(Invalid) as refused:
        assign(
            make.role(),
            prod,
            rita,
            make.approved(),
            since=now + since,
            until=None if until is None else now + until,
        )
    assert refused.value.errors[0]["pointer"] == pointer


def test_an_instance_is_assigned_where_it_runs(prod, rita):
    instance = make.instance(environment=prod)
    made = assign(make.role(), prod, rita, instance=instance)
    assert made.version == instance.version
    with pytest.raises(Invalid, match="another environment"):
        assign(make.role(), make.environment("dev"), rita, instance=instance)
    with pytest.raises(Invalid, match="another version"):
        assign(make.role(), prod, rita, make.approved(), instance=instance)
    with pytest.raises(Invalid, match="Name a version"):
        assign(make.role(), prod, rita)


def test_assigning_takes_the_right_in_that_very_environment(acme, prod):
    bob = make.user("bob", member_of=acme)
    dev = make.environment("dev")
    make.grant(bob, dev, Right.PROMOTE_RELEASE)
    role, version = make.role(), make.approved()
    made = assign(role, dev, bob, version)
    with pytest.raises(NotAllowed):
        assign(role, prod, bob, version)
    with pytest.raises(NotAllowed):
        services.end_assignment(assignment=made, actor=make.user("mallory", member_of=acme), reason="x")


# coverage


def heard(*instances):
    InstanceStatus.objects.filter(instance__in=instances).update(heartbeat_at=clock.now())


def covered(role, actor):
    (row,) = queries.role_rows([role], actor)
    return row.covers


def test_who_is_at_work_and_heard_covers_a_role(prod, rita):
    role = make.role(coverage=[{"environment": "prod", "least": 4}])
    version, at = make.approved(), make.provider()
    given = make.instance(environment=prod, role=role, provider=at)
    by_version = make.instance(environment=prod, version=version, provider=at)
    alone = make.instance(environment=prod, provider=at)
    silent = make.instance(environment=prod, role=role)
    stopped = make.instance(environment=prod, role=role, state=InstanceState.PAUSED)
    elsewhere = make.instance(environment=make.environment("dev"), version=version)
    heard(given, by_version, alone, stopped, elsewhere)
    make.role_assignment(role=role, environment=prod, version=version)
    make.role_assignment(role=role, environment=prod, version=alone.version, instance=alone)
    (cover,) = covered(role, rita)
    assert (cover.have, cover.lacks, cover.gap) == (3, 1, "lacks 1 of 4")
    heard(silent)
    assert covered(role, rita)[0].gap == ""


def test_nobody_is_counted_twice(prod, rita):
    role, version = make.role(coverage=[{"environment": "prod", "least": 2}]), make.approved()
    one = make.instance(environment=prod, role=role, version=version)
    heard(one)
    make.role_assignment(role=role, environment=prod, version=version)
    make.role_assignment(role=role, environment=prod, version=version, instance=one)
    assert covered(role, rita)[0].have == 1


def test_failover_takes_a_second_provider(prod, rita):
    role = make.role(coverage=[{"environment": "prod", "least": 1}], failover=True)
    heard(make.instance(environment=prod, role=role))
    assert covered(role, rita)[0].gap == "has no failover provider"
    heard(make.instance(environment=prod, role=role))
    assert covered(role, rita)[0].gap == ""


def test_an_ended_assignment_covers_nothing(prod, rita):
    role, version = make.role(coverage=[{"environment": "prod", "least": 1}]), make.approved()
    heard(make.instance(environment=prod, version=version))
    made = make.role_assignment(role=role, environment=prod, version=version)
    assert covered(role, rita)[0].lacks == 0
    services.end_assignment(assignment=made, actor=rita, reason="r")
    assert covered(role, rita)[0].lacks == 1


def test_the_list_of_roles_counts_in_few_queries(prod, rita, django_assert_max_num_queries):
    roles = [make.role(coverage=[{"environment": "prod", "least": 1}]) for _ in range(8)]
    with django_assert_max_num_queries(9):
        assert len(queries.role_rows(roles, rita)) == 8


# pages and API


def test_the_page_says_who_no_longer_fits_and_what_is_missing(client, told, prod, rita):
    role = make.role(name="Clerk")
    assign(role, prod, rita, make.approved())
    services.update_role(role=role, certifications=["pci"], actor=rita, reason="New law")
    client.force_login(rita)
    page = client.get(role.get_absolute_url()).content.decode()
    assert "No longer fits" in page and "Certification pci is missing on this genome." in page


def test_roles_and_coverage_shows_which_environment_lacks_how_many(client, prod, rita):
    make.role("covered-one", coverage=[])
    make.role("bare", coverage=[{"environment": "prod", "least": 3}])
    client.force_login(rita)
    page = client.get(reverse("registry:role_list"))
    assert "lacks 3 of 3" in page.content.decode()
    narrowed = client.get(reverse("registry:role_list"), {"gaps": "on"})
    assert [row.role.slug for row in narrowed.context["rows"]] == ["bare"]


def test_the_page_assigns_and_ends(client, prod, rita):
    role, version = make.role(), make.approved()
    client.force_login(rita)
    form = reverse("registry:role_assign", args=[role.typeid])
    client.post(form, {"environment": "prod", "version": version.typeid, "reason": "Staff it"})
    made = RoleAssignment.objects.get()
    shown = client.get(reverse("registry:assignment_list")).content.decode()
    assert str(version) in shown and "In force" in shown
    client.post(reverse("registry:assignment_end", args=[made.typeid]), {"reason": "Enough"})
    made.refresh_from_db()
    assert made.standing == "ended"
    assert str(version) not in client.get(reverse("registry:assignment_list")).content.decode()


def test_a_refused_form_names_all_that_is_missing_with_the_way_to_mend_it(client, told, prod, rita):
    role, version = demanding(), make.approved()
    client.force_login(rita)
    form = reverse("registry:role_assign", args=[role.typeid])
    answer = client.post(form, {"environment": "prod", "version": version.typeid, "reason": "Staff it"})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "/measure/refunds/" in page and "/certify/pci/" in page and "german: never measured" in page


def test_who_may_release_nowhere_finds_no_form(client, acme, prod, rita):
    viewer = make.hired("vera", "viewer", acme)
    role = make.role()
    form = reverse("registry:role_assign", args=[role.typeid])
    for who, status in ((viewer, 403), (rita, 200)):
        client.force_login(who)
        assert client.get(form).status_code == status
        assert (form in client.get(role.get_absolute_url()).content.decode()) is (status == 200)


def test_a_machine_checks_assigns_and_ends(client, told, prod, rita):
    role, version = make.role("clerk", certifications=["pci"]), make.approved()
    client.force_login(rita)
    at = f"/api/v1/registry/roles/{role.typeid}/"

    def post(path, body):
        return client.post(path, body, content_type="application/json")

    asked = {"environment": "prod", "version": version.typeid}
    verdicts = client.get(f"{at}check/", asked).json()
    assert {v["gate"]: v["passed"] for v in verdicts}["certification pci"] is False
    refused = post(f"{at}assign/", asked | {"reason": "r"})
    assert (refused.status_code, refused.json()["code"]) == (409, "gate_refused")
    assert [gate["gate"] for gate in refused.json()["gates"]] == ["certification pci"]
    told(held={"pci": Certified.VALID})
    made = post(f"{at}assign/", asked | {"reason": "r"})
    assert made.status_code == 201, made.content
    assert made.json()["state"] == "active" and made.json()["role"] == "clerk"
    again = post(f"{at}assign/", asked | {"reason": "r"})
    assert again.status_code == 409 and again.json()["existing"]["id"] == made.json()["id"]
    assert len(client.get("/api/v1/registry/assignments/").json()["results"]) == 1
    assert post(f"{made.json()['url']}end/", {"reason": "r"}).json()["state"] == "ended"
    assert client.get("/api/v1/registry/assignments/").json()["results"] == []
    assert client.get(f"{at}check/", {"environment": "moon", "version": "x"}).status_code == 422
