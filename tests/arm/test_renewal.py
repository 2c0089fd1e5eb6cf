"""A role that learned a right in a new version opens it for those who hold the role already, and what it lost is lost."""

from datetime import timedelta

import pytest

from arm import clock, services
from arm.grants import grant_models
from arm.models import ChangeRecord, RoleBinding
from arm.permissions import allowed
from arm.rights import Right
from tests import make

pytestmark = pytest.mark.django_db


def forget(binding: RoleBinding, right: Right) -> None:
    """As if the binding had been made before the role knew this right."""
    for model in grant_models():
        model._default_manager.filter(binding=binding, permission__codename=right.value).delete()


def test_who_holds_a_role_gets_what_it_learned_and_the_record_says_so() -> None:
    acme = make.tenant("acme")
    alice = make.hired("alice", "author", acme)
    template = make.template()
    bob = make.hired("bob", "author", template)
    (hers, his) = RoleBinding.objects.filter(role="author").order_by("pk")
    forget(hers, Right.ISSUE_EVIDENCE)
    forget(his, Right.ISSUE_EVIDENCE)
    assert not allowed(alice, Right.ISSUE_EVIDENCE, acme)
    RoleBinding.objects.filter(role="viewer").update(
        role="of the tests"
    )  # the administrators of the test hold single rights
    assert services.renew_bindings() == 2
    assert allowed(alice, Right.ISSUE_EVIDENCE, acme)
    assert allowed(bob, Right.ISSUE_EVIDENCE, template) and not allowed(bob, Right.ISSUE_EVIDENCE, acme)
    record = ChangeRecord.objects.filter(verb="arm.role.renewed").latest("at")
    assert (record.after, record.before) == ({"rights": ["evidence_issue"]}, {"rights": []})
    assert services.renew_bindings() == 0


def test_a_right_that_the_role_no_longer_has_is_taken_back_and_limits_stay() -> None:
    acme = make.tenant("acme")
    alice = make.hired("alice", "author", acme)
    binding = RoleBinding.objects.get(role="author")
    until = clock.now() + timedelta(days=1)
    (model,) = (m for m in grant_models() if m._default_manager.filter(binding=binding).exists())
    model._default_manager.filter(binding=binding).update(expires_at=until, risk_max="low")
    RoleBinding.objects.filter(pk=binding.pk).update(expires_at=until, risk_max="low")
    kept = model._default_manager.filter(binding=binding).first()
    assert kept is not None
    other = type(kept.permission).objects.get(
        codename=Right.MANAGE_TENANT.value, content_type=kept.permission.content_type
    )
    model._default_manager.filter(pk=kept.pk).update(permission=other)
    assert allowed(alice, Right.MANAGE_TENANT, acme) is False  # a limited grant says nothing about a tenant
    RoleBinding.objects.filter(role="viewer").update(role="of the tests")
    assert services.renew_bindings() == 1
    rows = model._default_manager.filter(binding=binding)
    assert not rows.filter(permission=other).exists()
    assert set(rows.values_list("expires_at", "risk_max")) == {(until, "low")}


def test_a_binding_that_has_ended_stays_ended() -> None:
    acme = make.tenant("acme")
    alice = make.hired("alice", "author", acme)
    admin = make.everything(make.user("judy", member_of=acme), acme)
    services.unbind(binding=RoleBinding.objects.get(role="author"), actor=admin, reason="left")
    RoleBinding.objects.filter(role="viewer").update(role="of the tests")
    assert services.renew_bindings() == 0
    assert not allowed(alice, Right.READ_DIRECTORY, acme)
