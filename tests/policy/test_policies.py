"""Policies: written by one person, activated by another, immutable from the first draft on."""

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from policy import services
from policy.lifecycle import PolicyState
from policy.models import Binding, Policy, PolicyVersion
from registry.services import Duplicate
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme):
    alice = make.user("alice", member_of=acme)
    make.grant(alice, acme, Right.DRAFT_POLICY, Right.ACTIVATE_POLICY, Right.BIND_POLICY)
    return alice


@pytest.fixture
def bob(acme):
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.DRAFT_POLICY, Right.ACTIVATE_POLICY, Right.BIND_POLICY)
    return bob


def drafted(acme, by, **members):
    return services.create_policy(
        tenant=acme,
        slug="mail",
        name="Mail",
        content=make.policy_document(**members),
        actor=by,
        reason="first",
    )


def test_a_new_policy_is_a_draft_with_the_digest_of_its_bytes(acme, alice):
    version = drafted(acme, alice, tier=3)
    assert (version.number, version.state, version.tier) == (1, PolicyState.DRAFT, 3)
    assert version.document["tier"] == 3
    assert list(ChangeRecord.objects.order_by("pk").values_list("verb", flat=True)) == [
        "policy.policy.created",
        "policy.version.drafted",
    ]


def test_a_document_that_is_wrong_is_refused_with_every_pointer_and_nothing_is_stored(acme, alice):
    with pytest.raises(Invalid) as refusal:
        drafted(acme, alice, tier=9, mode="dream")
    assert {each["pointer"] for each in refusal.value.errors} == {"/tier", "/mode"}
    assert not Policy.objects.exists() and not ChangeRecord.objects.exists()


def test_a_rule_about_a_fact_that_nobody_knows_is_refused(acme, alice, settings):
    loops = [{"rule": "error_streak", "window_s": 60, "max": 3, "on_breach": "pause"}]
    with pytest.raises(Invalid) as refusal:
        drafted(acme, alice, loops=loops)
    assert refusal.value.errors[0]["code"] == "unknown_fact"
    settings.POLICY_FACTS = {"error_streak": "somewhere"}
    assert drafted(acme, alice, loops=loops)


def test_approvers_and_escalations_are_roles_that_may_decide(acme, alice):
    red = {"match": {"risk": "red"}}
    rules = [
        red | {"roles": ["approver", "finops"], "escalate_after_s": 60, "escalate_to": "approver"},
        red | {"roles": ["finops"]},
        red | {"roles": ["approver", "boss"]},
        red | {"escalate_after_s": 60, "escalate_to": "tenant_admin"},
    ]
    with pytest.raises(Invalid) as refusal:
        drafted(acme, alice, approvals=rules)
    assert [(each["pointer"], each["code"]) for each in refusal.value.extra["errors"]] == [
        ("/approvals/1/roles", "role_may_not_decide"),
        ("/approvals/2/roles", "unknown_role"),
        ("/approvals/3/escalate_to", "role_may_not_decide"),
    ]
    assert not PolicyVersion.objects.exists()
    assert drafted(acme, alice, approvals=rules[:1]).state == PolicyState.DRAFT


def test_its_author_does_not_activate_it_alone(acme, alice, bob):
    version = drafted(acme, alice)
    with pytest.raises(NotAllowed):
        services.activate_version(version=version, actor=alice, reason="mine")
    assert services.activate_version(version=version, actor=bob, reason="read it").state == PolicyState.ACTIVE


def test_in_a_tenant_of_one_person_the_author_activates_and_the_record_says_so(acme, alice):
    services.activate_version(version=drafted(acme, alice), actor=alice, reason="only me")
    assert ChangeRecord.objects.get(verb="policy.version.activated").after["sod_mode"] == "reduced"


def test_a_new_version_replaces_the_active_one(acme, alice, bob):
    first = services.activate_version(version=drafted(acme, alice), actor=bob, reason="go")
    second = services.draft_version(
        policy=first.policy, content=make.policy_document(tier=1), actor=alice, note="tighter"
    )
    services.activate_version(version=second, actor=bob, reason="go")
    first.refresh_from_db()
    assert (first.state, second.number) == (PolicyState.SUPERSEDED, 2)
    assert first.ended_at is not None
    record = ChangeRecord.objects.filter(verb="policy.version.activated").latest("pk")
    assert (record.before["digest"], record.after["digest"]) == (first.digest, second.digest)


def test_what_was_superseded_or_withdrawn_never_comes_back(acme, alice, bob):
    version = drafted(acme, alice)
    services.withdraw_version(version=version, actor=alice, reason="wrong")
    with pytest.raises(Conflict):
        services.activate_version(version=version, actor=bob, reason="go")


def test_saying_the_same_again_is_answered_with_what_there_is(acme, alice):
    version = drafted(acme, alice)
    with pytest.raises(Duplicate) as refusal:
        services.draft_version(
            policy=version.policy, content=make.policy_document(), actor=alice, note="again"
        )
    assert refusal.value.existing == version
    with pytest.raises(Duplicate):
        drafted(acme, alice)


def test_the_database_keeps_a_version_as_it_was_written(acme, alice):
    version = drafted(acme, alice)
    for attempt in (
        lambda: PolicyVersion.objects.update(content=b"{}"),
        lambda: PolicyVersion.objects.update(digest="sha256:0"),
        lambda: PolicyVersion.objects.update(tier=5),
        lambda: PolicyVersion.objects.all().delete(),
        version.delete,
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def test_the_database_knows_only_one_active_version():
    policy = make.policy()
    with pytest.raises(IntegrityError), transaction.atomic():
        make.policy_version(policy=policy, state=PolicyState.ACTIVE)


def test_without_the_right_nobody_drafts_activates_binds_or_unbinds(acme, alice):
    mallory = make.user("mallory", member_of=acme)
    version = drafted(acme, alice)
    policy = make.bound(acme)
    for attempt in (
        lambda: drafted(acme, mallory),
        lambda: services.draft_version(policy=policy, content={}, actor=mallory, note="x"),
        lambda: services.activate_version(version=version, actor=mallory, reason="x"),
        lambda: services.withdraw_version(version=version, actor=mallory, reason="x"),
        lambda: services.bind_policy(policy=policy, target=acme, actor=mallory, reason="x"),
        lambda: services.unbind_policy(binding=policy.bindings.get(), actor=mallory, reason="x"),
    ):
        with pytest.raises(NotAllowed):
            attempt()


class TestBinding:
    def test_a_policy_is_bound_once_per_target(self, acme, alice):
        policy, prod = make.policy(), make.environment("prod")
        binding = services.bind_policy(policy=policy, target=prod, actor=alice, reason="prod is strict")
        assert (binding.target, binding.target_kind) == (prod, "environment")
        with pytest.raises(Duplicate):
            services.bind_policy(policy=policy, target=prod, actor=alice, reason="again")
        assert (
            services.bind_policy(policy=policy, target=acme, actor=alice, reason="everywhere").target == acme
        )

    def test_a_policy_without_an_active_version_is_bound_nowhere(self, acme, alice):
        with pytest.raises(Conflict):
            services.bind_policy(policy=make.policy_version().policy, target=acme, actor=alice, reason="x")

    def test_a_policy_is_bound_to_what_agents_stand_below(self, acme, alice):
        with pytest.raises(Invalid):
            services.bind_policy(policy=make.policy(), target=make.provider(), actor=alice, reason="x")

    def test_who_bound_it_does_not_unbind_it_alone(self, acme, alice, bob):
        binding = services.bind_policy(policy=make.policy(), target=acme, actor=alice, reason="x")
        with pytest.raises(NotAllowed):
            services.unbind_policy(binding=binding, actor=alice, reason="mine")
        services.unbind_policy(binding=binding, actor=bob, reason="replaced")
        with pytest.raises(Conflict):
            services.unbind_policy(binding=binding, actor=bob, reason="again")

    def test_a_binding_that_ended_can_be_made_again_and_both_rows_stay(self, acme, alice, bob):
        policy = make.policy()
        binding = services.bind_policy(policy=policy, target=acme, actor=alice, reason="x")
        services.unbind_policy(binding=binding, actor=bob, reason="x")
        services.bind_policy(policy=policy, target=acme, actor=alice, reason="back")
        assert Binding.objects.filter(policy=policy).count() == 2
        with pytest.raises(DatabaseError), transaction.atomic():
            binding.delete()

    def test_a_binding_has_exactly_one_target(self, acme):
        for members in ({}, {"whole_tenant": True, "environment": make.environment()}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Binding.objects.create(tenant=acme, policy=make.policy(), reason="x", **members)


class TestToolRisk:
    def classify(self, acme, by, tool, **members):
        return services.set_tool_risk(tenant=acme, tool=tool, actor=by, note="our own tool", **members)

    def test_a_known_tool_can_be_raised_and_not_lowered(self, acme, alice):
        assert self.classify(acme, alice, "read_file", risk="red").risk == "red"
        with pytest.raises(Invalid) as refusal:
            self.classify(acme, alice, "payment", risk="green")
        assert refusal.value.errors[0]["pointer"] == "/risk"

    def test_making_an_unknown_tool_harmless_needs_who_activates_policies(self, acme, alice):
        carol = make.user("carol", member_of=acme)
        make.grant(carol, acme, Right.DRAFT_POLICY)
        with pytest.raises(NotAllowed):
            self.classify(acme, carol, "crm_lookup", risk="green")
        assert self.classify(acme, carol, "crm_delete", risk="red")
        assert self.classify(acme, alice, "crm_lookup", risk="green")

    def test_loosening_an_entry_needs_who_activates_policies_too(self, acme, alice):
        carol = make.user("carol", member_of=acme)
        make.grant(carol, acme, Right.DRAFT_POLICY)
        self.classify(acme, carol, "bash", risk="red", ceiling=1)
        for looser in ({"risk": "red", "ceiling": 2}, {"risk": "red"}, {"risk": "yellow", "ceiling": 1}):
            with pytest.raises(NotAllowed):
                self.classify(acme, carol, "bash", **looser)
        assert self.classify(acme, alice, "bash", risk="yellow", ceiling=1)

    def test_a_new_entry_ends_the_earlier_one(self, acme, alice):
        earlier = self.classify(acme, alice, "crm_*", risk="yellow")
        later = self.classify(acme, alice, "CRM-*", risk="red", ceiling=1)
        earlier.refresh_from_db()
        assert (earlier.until, later.until) == (later.since, None)
        services.end_tool_risk(entry=later, actor=alice, reason="gone")
        with pytest.raises(Conflict):
            services.end_tool_risk(entry=later, actor=alice, reason="again")

    @pytest.mark.parametrize(
        "members", [{}, {"risk": "purple"}, {"ceiling": 6}, {"risk": "red", "tool_class": "magic"}]
    )
    def test_an_entry_that_says_nothing_sensible_is_refused(self, acme, alice, members):
        with pytest.raises(Invalid):
            self.classify(acme, alice, "crm_*", **members)
