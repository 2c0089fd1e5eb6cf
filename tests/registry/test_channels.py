"""Versions climb the channels in their order, or somebody answers for the exception. Slots keep their invariants."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from evidence.lifecycle import ArtefactState
from evidence.models import SigningKey
from registry import services
from registry.gates import CHANNEL_ORDER, EVIDENCE_VERIFIED, GateRefused
from registry.models import DeploymentSlot, ReleaseException, SlotBinding
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def erin(tenant):
    return make.hired("erin", "approver", tenant)


@pytest.fixture(autouse=True)
def only_the_channels(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]


@pytest.fixture
def clerk(tenant):
    return make.role("clerk", name="Clerk")


@pytest.fixture
def channels(clerk):
    """A slot for the clerk in each of dev, staging and prod."""
    places = [make.environment(slug, position=n) for n, slug in enumerate(("dev", "staging", "prod"), 1)]
    return [make.slot(environment=place, role=clerk) for place in places]


def bind(slot, version, actor):
    return services.bind_slot(slot=slot, version=version, actor=actor, reason="go")


def grant(slot, version, actor, **more):
    usual = {"gate": CHANNEL_ORDER, "until": clock.now() + timedelta(days=1), "reason": "Hotfix"}
    return services.grant_exception(slot=slot, version=version, actor=actor, **usual | more)


def test_a_version_reaches_production_only_through_the_channel_before_it(channels, rita):
    dev, staging, prod = channels
    version = make.approved()
    for slot in (prod, staging):
        with pytest.raises(GateRefused, match="never bound for Clerk in"):
            bind(slot, version, rita)
    for slot in (dev, staging, prod):
        assert bind(slot, version, rita).current_version == version


def test_the_channel_before_counts_for_the_same_role_only(channels, rita):
    _, staging, prod = channels
    version = make.approved()
    SlotBinding.objects.create(
        tenant=staging.tenant, slot=make.slot(environment=staging.environment), version=version, reason="r"
    )
    with pytest.raises(GateRefused, match="never bound for Clerk"):
        bind(prod, version, rita)


def test_what_was_rolled_back_does_not_climb(channels, rita):
    dev, staging, _ = channels
    version = make.approved()
    bind(dev, version, rita)
    version.rolled_back = True
    version.save(update_fields=["rolled_back"])
    with pytest.raises(GateRefused, match="was rolled back"):
        bind(staging, version, rita)


def test_what_was_bound_here_before_may_return(channels, rita):
    *_, prod = channels
    version = make.approved()
    SlotBinding.objects.create(
        tenant=prod.tenant, slot=prod, version=version, reason="r", until=clock.now() + timedelta(1)
    )
    assert bind(prod, version, rita).current_version == version


def test_an_exception_lets_one_version_in_once(channels, rita, erin):
    *_, prod = channels
    version, other = make.approved(), make.approved()
    exception = grant(prod, version, erin)
    with pytest.raises(GateRefused):
        bind(prod, other, rita)
    assert bind(prod, version, rita).current_version == version
    exception.refresh_from_db()
    assert exception.used_at is not None and exception.used_by_label == str(rita)
    record = ChangeRecord.objects.filter(verb="registry.slot.bound").first()
    assert record.links == [exception.typeid]
    assert ChangeRecord.objects.get(verb="registry.exception.granted").reason == "Hotfix"
    SlotBinding.objects.all()
    prod.refresh_from_db()
    assert not ReleaseException.objects.unused().exists()


def test_a_spent_exception_lets_nothing_in(channels, rita, erin):
    *_, prod = channels
    version = make.approved()
    exception = grant(prod, version, erin)
    exception.used_at = clock.now()
    exception.save(update_fields=["used_at"])
    with pytest.raises(GateRefused):
        bind(prod, version, rita)
    exception.used_at = None
    with pytest.raises(IntegrityError), transaction.atomic():
        exception.save(update_fields=["used_at"])


def test_an_exception_ends_with_its_time(channels, rita, erin):
    *_, prod = channels
    version = make.approved()
    grant(prod, version, erin, until=clock.now() + timedelta(hours=1))
    with clock.at(clock.now() + timedelta(hours=2)), pytest.raises(GateRefused):
        bind(prod, version, rita)


def test_who_grants_an_exception_cannot_use_it(channels, tenant, rita):
    *_, prod = channels
    version = make.approved()
    both = make.everything(make.user("both", member_of=tenant), tenant)
    grant(prod, version, both)
    with pytest.raises(GateRefused):
        bind(prod, version, both)
    assert bind(prod, version, rita).current_version == version


def test_an_exception_covers_no_other_gate(channels, rita, erin):
    *_, prod = channels
    version = make.version(state="testing")
    grant(prod, version, erin)
    with pytest.raises(GateRefused, match="approved versions only"):
        bind(prod, version, rita)
    with pytest.raises(Invalid, match="possible from"):
        grant(prod, version, erin, gate="version may run")


def test_who_may_not_approve_releases_grants_none(channels, rita, tenant):
    *_, prod = channels
    with pytest.raises(NotAllowed):
        grant(prod, make.approved(), rita)
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, channels[0].environment, Right.APPROVE_RELEASE)
    with pytest.raises(NotAllowed):
        grant(prod, make.approved(), mallory)


@pytest.mark.parametrize("days", [-1, 0, 15])
def test_an_exception_has_a_time_within_a_fortnight(channels, erin, days):
    with pytest.raises(Invalid, match="14 days"):
        grant(channels[2], make.approved(), erin, until=clock.now() + timedelta(days=days))


# what a strict environment asks besides


@pytest.fixture
def signing(settings, tenant):
    """The tenant signs, and its slots want verified evidence."""
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.EvidenceVerified"]
    SigningKey.objects.create(
        tenant=tenant, purpose=SigningKey.Purpose.EVIDENCE, kid="k", jwk={}, sealed=b"sealed"
    )


def verified(version):
    card = make.card(version)
    type(card.artefact).objects.filter(pk=card.artefact_id).update(state=ArtefactState.VERIFIED)


def test_production_wants_a_verified_card_where_the_tenant_signs(channels, rita, erin, signing):
    *_, prod = channels
    version, proven = make.approved(), make.approved()
    make.card(version)
    verified(proven)
    with pytest.raises(GateRefused, match=r"No Agent Card of .* is verified"):
        bind(prod, version, rita)
    assert bind(prod, proven, rita).current_version == proven
    with pytest.raises(Invalid, match="possible from: channel order"):
        grant(prod, version, erin, gate=EVIDENCE_VERIFIED)


def test_an_exception_of_before_stands_in_for_no_card(channels, rita, erin, signing):
    *_, prod = channels
    version = make.approved()
    held = {"granted_by": erin, "until": clock.now() + timedelta(days=1), "reason": "r"}
    ReleaseException.objects.create(
        tenant=prod.tenant, slot=prod, version=version, gate=EVIDENCE_VERIFIED, **held
    )
    with pytest.raises(GateRefused, match=r"No Agent Card of .* is verified"):
        bind(prod, version, rita)


def test_a_withdrawn_exception_lets_nothing_in(channels, rita, erin):
    *_, prod = channels
    version = make.approved()
    exception = grant(prod, version, erin)
    exception.withdrawn_at = clock.now()
    exception.save(update_fields=["withdrawn_at"])
    with pytest.raises(GateRefused):
        bind(prod, version, rita)
    exception.withdrawn_at = None
    with pytest.raises(IntegrityError), transaction.atomic():
        exception.save(update_fields=["withdrawn_at"])


def test_a_tenant_that_signs_no_evidence_is_not_asked_for_a_card(channels, rita, tenant, settings):
    settings.BINDING_GATES = ["registry.plugins.EvidenceVerified"]
    SigningKey.objects.create(tenant=tenant, purpose=SigningKey.Purpose.LOG, kid="k", jwk={}, sealed=b"s")
    assert bind(channels[2], make.approved(), rita).current_version


def test_an_environment_of_high_risk_takes_approved_versions_only(channels, rita, clerk):
    risky = make.slot(environment=make.environment("pilot", position=0, risk_default="high"), role=clerk)
    with pytest.raises(GateRefused, match="is of high risk, which takes approved versions only"):
        bind(risky, make.version(state="testing"), rita)


# what the database holds by itself


@pytest.mark.parametrize(
    "wrong",
    [
        {"previous_version": "same"},
        {"canary_version": "same", "canary_share": 5},
        {"canary_share": 5},
        {"canary_version": "other", "canary_share": 0},
        {"canary_version": "other", "canary_share": 101},
    ],
)
def test_the_database_refuses_a_slot_that_contradicts_itself(channels, wrong):
    first, second = make.approved(), make.approved()
    slot = channels[0]
    DeploymentSlot.objects.filter(pk=slot.pk).update(current_version=first)
    values = {"same": first, "other": second}
    with pytest.raises(IntegrityError), transaction.atomic():
        DeploymentSlot.objects.filter(pk=slot.pk).update(**{k: values.get(v, v) for k, v in wrong.items()})


def test_a_binding_that_ended_stays_ended(channels, rita):
    dev = channels[0]
    bind(dev, make.approved(), rita)
    bind(dev, make.approved(), rita)
    ended = SlotBinding.objects.exclude(until=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        ended.update(until=clock.now() + timedelta(1))


def test_an_exception_that_was_withdrawn_lets_nothing_in_and_says_who_ended_it(channels, rita, erin):
    *_, prod = channels
    version = make.approved()
    exception = grant(prod, version, erin)
    with pytest.raises(NotAllowed):
        services.withdraw_exception(exception=exception, actor=rita, reason="no")
    ended = services.withdraw_exception(exception=exception, actor=erin, reason="The wrong version")
    assert ended.standing == "withdrawn"
    with pytest.raises(GateRefused):
        bind(prod, version, rita)
    record = ChangeRecord.objects.get(verb="registry.exception.withdrawn")
    assert (record.actor_id, record.reason) == (erin.pk, "The wrong version") and prod.typeid in record.links
    with pytest.raises(Conflict, match="withdrawn already"):
        services.withdraw_exception(exception=ended, actor=erin, reason="again")


def test_what_was_used_or_is_over_cannot_be_withdrawn(channels, rita, erin):
    *_, prod = channels
    version = make.approved()
    used = grant(prod, version, erin)
    bind(prod, version, rita)
    with pytest.raises(Conflict, match="It was used by"):
        services.withdraw_exception(exception=used, actor=erin, reason="late")
    over = ReleaseException.objects.create(
        tenant=prod.tenant, slot=prod, version=make.approved(), gate=CHANNEL_ORDER, reason="r", granted_by=erin,
        until=clock.now() - timedelta(hours=1), granted_at=clock.now() - timedelta(hours=2),
    )  # fmt: skip
    with pytest.raises(Conflict, match="ended by itself"):
        services.withdraw_exception(exception=over, actor=erin, reason="late")


def test_lists_of_exceptions_and_rollbacks_and_the_verb_by_page_and_api(client, channels, rita, erin):
    *_, prod = channels
    one, two = grant(prod, make.approved(), erin), grant(prod, make.approved(), erin)
    client.force_login(erin)
    page = client.get(reverse("registry:exception_list"))
    assert {row.pk for row in page.context["object_list"]} == {one.pk, two.pk}
    assert "Withdraw" in page.content.decode()
    assert client.get(reverse("registry:rollback_list")).status_code == 200
    posted = client.post(reverse("registry:exception_withdraw", args=[one.typeid]), {"reason": "Wrong"})
    assert posted.status_code == 302
    asked = client.post(
        f"/api/v1/registry/exceptions/{two.typeid}/withdraw/",
        {"reason": "Wrong"},
        content_type="application/json",
    )
    assert asked.status_code == 200 and asked.json()["withdrawn_at"]
    assert not ReleaseException.objects.unused().exists()
    mallory = make.user("mallory", member_of=make.tenant("other"))
    client.force_login(mallory)
    assert client.get(reverse("registry:exception_withdraw", args=[one.typeid])).status_code == 404
