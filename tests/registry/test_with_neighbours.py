"""The directory's ports with what really answers them: approvals of policy, incidents of telemetry."""

import pytest

from arm.rights import Right
from policy import services as policy
from policy.models import ApprovalRequest
from registry import services
from registry.lifecycle import InstanceState
from registry.models import Genome
from telemetry.models import Incident
from tests import make
from tests.registry.genomes import sha

pytestmark = pytest.mark.django_db


def person(name, tenant, *rights):
    user = make.user(name, member_of=tenant)
    make.grant(user, tenant, *rights)
    return user


def test_a_quarantine_is_lifted_after_two_others_have_approved_exactly_that(tenant, settings):
    settings.ACTIVATION_GATES = []  # what they ask is tested where they live
    operator = person("olga", tenant, Right.RESTRICT_INSTANCE, Right.RELEASE_INSTANCE)
    approvers = [
        person(name, tenant, Right.APPROVE_RELEASE, Right.DECIDE_APPROVAL) for name in ("bob", "carol")
    ]
    instance = make.instance()
    stopped = services.restrict_instance(
        instance=instance, to=InstanceState.QUARANTINED, actor=operator, reason="odd calls"
    )
    asked = services.request_instance_release(
        instance=stopped, to=InstanceState.ACTIVE, actor=operator, reason="checked"
    )
    request = ApprovalRequest.objects.get(pk=asked)
    for count, approver in enumerate(approvers):
        with pytest.raises(services.ApprovalNeeded) as refused:
            services.move_instance(instance=stopped, to=InstanceState.ACTIVE, actor=operator, reason="go")
        assert refused.value.extra["have"] == count
        policy.decide_approval(
            request=request, approve=True, actor=approver, reason="looked at it", digest=request.digest
        )
    released = services.move_instance(instance=stopped, to=InstanceState.ACTIVE, actor=operator, reason="go")
    assert released.state == InstanceState.ACTIVE
    request.refresh_from_db()
    assert request.state == "consumed"


def test_the_answer_names_the_request_as_its_page_and_its_api_do(tenant, client):
    operator = person("olga", tenant, Right.RESTRICT_INSTANCE, Right.RELEASE_INSTANCE, Right.READ_DIRECTORY)
    stopped = services.restrict_instance(
        instance=make.instance(), to=InstanceState.READ_ONLY, actor=operator, reason="odd"
    )
    client.force_login(operator)
    url = f"/api/v1/registry/instances/{stopped.typeid}/request-release/"
    answer = client.post(url, {"to": "active", "reason": "checked"}, "application/json")
    assert (answer.status_code, answer.json()) == (202, {"request": ApprovalRequest.objects.get().typeid})


def test_asking_again_for_the_same_release_is_the_same_request(tenant):
    operator = person("olga", tenant, Right.RESTRICT_INSTANCE, Right.RELEASE_INSTANCE)
    stopped = services.restrict_instance(
        instance=make.instance(), to=InstanceState.READ_ONLY, actor=operator, reason="odd"
    )

    def ask():
        return services.request_instance_release(
            instance=stopped, to=InstanceState.ACTIVE, actor=operator, reason="checked"
        )

    assert ask() == ask() and ApprovalRequest.objects.count() == 1


def test_a_genome_that_does_not_match_its_digest_opens_one_incident_however_often_it_is_read(tenant):
    template = make.template()
    held = Genome.objects.create(
        tenant=tenant, template=template, digest=sha("as it was"), content=b'{"as": "it is now"}'
    )
    version = make.version(template=template, genome=held)
    for _ in range(2):
        assert not services.read_genome(genome=held).intact
    incident = Incident.objects.get()
    assert (incident.kind, incident.severity, incident.subject_id) == ("tamper", "s0", version.pk)
