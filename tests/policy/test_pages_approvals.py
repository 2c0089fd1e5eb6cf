"""The approvals pages: whose turn it is, what exactly is asked, who may answer, and what a refusal says."""

from datetime import timedelta

import msgspec
import pytest
from django.urls import reverse

from arm import clock
from arm.rights import Right
from policy import services
from policy.engine import Action, Request
from policy.lifecycle import ApprovalState
from policy.models import ApprovalRequest
from tests import make
from tests.policy.test_approvals import requested

pytestmark = pytest.mark.django_db
PAY = Request(Action.TOOL_CALL, "payment", {"amount": "10.00", "api_key": "0f9a8b7c6d5e"}, job="job-7")


@pytest.fixture
def instance(acme, people):
    return make.instance(version=make.approved(created_by=people["alice"]), name="payer-1")


@pytest.fixture
def request_(instance):
    return requested(instance, PAY)


def page(client, person, url):
    client.force_login(person)
    return client.get(url)


def answer(client, person, request, answer="approve", **members):
    client.force_login(person)
    body = {"digest": request.digest, "reason": "The order is real.", "answer": answer} | members
    return client.post(request.get_absolute_url(), body)


def test_the_page_shows_exactly_what_is_asked_with_secrets_masked(client, people, request_):
    text = page(client, people["erin"], request_.get_absolute_url()).content.decode()
    assert "payer-1" in text and "10.00" in text and request_.digest in text
    assert "0f9a8b7c6d5e" not in text
    assert "at tier 2 (supervised) it needs an approval" in text


def test_an_approver_approves_with_a_reason(client, people, request_):
    response = answer(client, people["erin"], request_)
    assert response.status_code == 302
    request_.refresh_from_db()
    assert request_.state == ApprovalState.APPROVED
    decision = request_.decisions.get()
    assert (decision.person, decision.reason) == (people["erin"], "The order is real.")


def test_the_page_knows_when_the_approver_opened_it(client, people, request_):
    shown = page(client, people["erin"], request_.get_absolute_url())
    answer(client, people["erin"], request_, opened=shown.context["form"]["opened"].value())
    assert request_.decisions.get().opened_at is not None


def test_a_time_of_opening_that_the_page_did_not_sign_counts_for_nothing(client, people, request_):
    answer(client, people["erin"], request_, opened="2020-01-01T00:00:00+00:00")
    assert request_.decisions.get().opened_at is None


def test_no_reason_no_decision_and_nothing_typed_is_lost(client, people, request_):
    response = answer(client, people["erin"], request_, reason="  ")
    assert response.status_code == 422
    assert "This field is required." in response.content.decode()
    assert not request_.decisions.exists()


def test_a_decision_about_another_digest_is_refused(client, people, request_):
    response = answer(client, people["erin"], request_, digest="sha256:" + "0" * 64)
    assert response.status_code == 409
    assert "not what you were shown" in response.content.decode()
    assert not request_.decisions.exists()


def test_a_viewer_sees_no_buttons_and_reads_who_may_decide(client, people, request_):
    text = page(client, people["vera"], request_.get_absolute_url()).content.decode()
    assert 'name="answer"' not in text
    assert "Your roles do not let you decide this." in text
    assert "erin, frank" in text


def test_the_builder_of_the_agent_sees_no_buttons_even_as_an_approver(client, acme, people, instance):
    make.everything(people["alice"], acme)
    request = requested(instance)
    text = page(client, people["alice"], request.get_absolute_url()).content.decode()
    assert 'name="answer"' not in text and "your decision does not count" in text
    refused = answer(client, people["alice"], request)
    assert refused.status_code == 403 and "ask another approver" in refused.content.decode()
    assert not request.decisions.exists()


def test_who_has_decided_sees_no_buttons_while_others_are_needed(client, people, instance):
    request = requested(instance, PAY, approvals=[{"match": {"tool": "*"}, "quorum": 2}])
    answer(client, people["erin"], request)
    text = page(client, people["erin"], request.get_absolute_url()).content.decode()
    assert 'name="answer"' not in text and "You have already decided" in text
    assert "1 of 2" in page(client, people["frank"], request.get_absolute_url()).content.decode()


def test_an_approver_without_the_role_that_the_policy_wants_sees_no_buttons(client, people, instance):
    request = requested(instance, PAY, approvals=[{"match": {"tool": "*"}, "roles": ["tenant_admin"]}])
    text = page(client, people["erin"], request.get_absolute_url()).content.decode()
    assert 'name="answer"' not in text
    said = "The policy wants approvers who are tenant_admin; you are not tenant_admin."
    assert said in text and said in answer(client, people["erin"], request).content.decode()


def test_a_request_past_its_time_is_shown_expired_before_anything_has_written_so(client, people, request_):
    with clock.at(clock.now() + timedelta(hours=2)):
        response = page(client, people["erin"], request_.get_absolute_url())
    text = response.content.decode()
    assert response.context["page"].state == "expired"
    assert 'name="answer"' not in text and "Nobody decided" in text
    request_.refresh_from_db()
    assert request_.state == ApprovalState.PENDING


def test_a_used_approval_says_so(client, people, request_):
    answer(client, people["erin"], request_)
    services.consume_approval(request_id=request_.pk, digest=request_.digest, used_by=request_.decision_id)
    assert (
        "The approved action was taken"
        in page(client, people["erin"], request_.get_absolute_url()).content.decode()
    )


def test_my_queue_holds_what_i_may_decide_and_have_not(client, people, instance, request_):
    mine = reverse("policy:approval_list")
    assert [row.request for row in page(client, people["erin"], mine).context["rows"]] == [request_]
    assert page(client, people["vera"], mine).context["rows"] == ()
    assert page(client, people["alice"], mine).context["rows"] == ()
    answer(client, people["erin"], request_)
    assert page(client, people["erin"], mine).context["rows"] == ()


def test_everything_that_waits_and_history_are_lists_of_their_own(client, people, request_):
    waiting, history = reverse("policy:approval_waiting"), reverse("policy:approval_history")
    assert len(page(client, people["vera"], waiting).context["rows"]) == 1
    answer(client, people["erin"], request_, "deny")
    assert page(client, people["vera"], waiting).context["rows"] == ()
    (row,) = page(client, people["vera"], history).context["rows"]
    assert row.state == "denied"


def test_the_history_filters_and_exports_what_is_shown(client, acme, people, instance, request_):
    make.grant(people["vera"], acme, Right.EXPORT)
    requested(instance, Request(Action.TOOL_CALL, "tweet", {"text": "=1+1"}, job="j"))
    url = reverse("policy:approval_history")
    found = page(client, people["vera"], f"{url}?q=tweet").context["rows"]
    assert [row.request.action["tool"] for row in found] == ["tweet"]
    csv = client.get(f"{url}?q=tweet&format=csv").content.decode().splitlines()
    assert len(csv) == 2 and csv[1].startswith("apr_")


def test_who_asked_takes_a_request_back_and_nobody_else(client, people, request_, instance):
    mine = requested(
        instance, msgspec.structs.replace(PAY, args={"amount": "11.00"}), on_behalf_of=people["dan"]
    )
    for request, takers in ((request_, ()), (mine, ("dan",))):
        url = reverse("policy:approval_cancel", args=[request.typeid])
        for name in ("vera", "erin", "dan"):
            text = page(client, people[name], request.get_absolute_url()).content.decode()
            assert (">Take back</a>" in text) == (name in takers)
            assert client.post(url, {"reason": "It asked twice."}).status_code == (
                302 if name in takers else 403
            )
    mine.refresh_from_db()
    assert mine.state == ApprovalState.CANCELLED


def test_the_page_says_what_an_approval_binds_and_what_it_does_not(client, people, request_):
    text = page(client, people["erin"], request_.get_absolute_url()).content.decode()
    bound = text.partition('id="action"')[2].partition("</section>")[0]
    loose = text.partition('id="purpose"')[2].partition("</section>")[0]
    assert "payment" in bound and "10.00" in bound and "job-7" not in bound
    assert "job-7" in loose and "Not bound" in loose


def test_a_stranger_finds_no_request(client, acme, people, request_):
    other = make.tenant("other")
    mallory = make.everything(make.user("mallory", member_of=other), other)
    client.force_login(mallory)
    assert client.get(request_.get_absolute_url()).status_code == 404
    assert client.post(request_.get_absolute_url(), {"reason": "x"}).status_code == 404
    assert page(client, mallory, reverse("policy:approval_history")).context["rows"] == ()


@pytest.mark.parametrize("name", ["approval_list", "approval_waiting", "approval_history"])
def test_a_list_costs_few_queries_however_long_it_is(
    client, people, instance, name, django_assert_max_num_queries
):
    for number in range(12):
        requested(instance, Request(Action.TOOL_CALL, "payment", {"amount": str(number)}, job="j"))
    client.force_login(people["erin"])
    with django_assert_max_num_queries(15):
        rows = client.get(reverse(f"policy:{name}")).context["rows"]
    assert len(rows) == 12


def test_the_decision_page_costs_few_queries(client, people, request_, django_assert_max_num_queries):
    client.force_login(people["erin"])
    with django_assert_max_num_queries(30):
        client.get(request_.get_absolute_url())


def test_in_a_tenant_of_one_person_that_person_decides_their_own(client):
    solo = make.tenant("solo")
    alone = make.everything(make.user("alone", member_of=solo), solo)
    build = make.approved(template=make.template(tenant=solo), created_by=alone)
    request = requested(make.instance(version=build))
    assert 'name="answer"' in page(client, alone, request.get_absolute_url()).content.decode()
    answer(client, alone, request)
    assert ApprovalRequest.objects.get(pk=request.pk).state == ApprovalState.APPROVED
