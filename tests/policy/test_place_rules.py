"""An environment has rules of its own: tools that count for more there, and who is asked for its approvals."""

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from policy import services
from policy.engine import Risk
from policy.models import ApprovalRoute, ToolRisk
from policy.plugins import PolicyBound, SlotHasPolicy
from policy.queries.approvals import approval_page, waiting_for
from policy.queries.standing import load_agents, load_rules
from tests import make
from tests.policy.people import hire
from tests.policy.test_approvals import decide, requested

pytestmark = pytest.mark.django_db
API = "/api/v1/policy"


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def people(acme):
    return hire(acme, erin="approver", frank="approver", grace="grc_analyst", vera="viewer")


@pytest.fixture
def dev(acme):
    return make.environment("dev", name="Dev", production=False, position=1)


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Prod", position=2)


def risk_of(tool, instance):
    rules = load_rules(instance.tenant_id)
    return rules.standing_of(load_agents([instance.pk])[instance.pk]).catalogue.tool(tool).risk


def classify(acme, actor, tool, risk, environment=None, **kw):
    return services.set_tool_risk(
        tenant=acme, tool=tool, risk=risk, environment=environment, actor=actor, note="audit", **kw
    )


# tools


def test_a_tool_counts_for_more_in_one_environment_and_the_same_elsewhere(acme, people, dev, prod):
    there, elsewhere = make.instance(environment=prod), make.instance(environment=dev)
    classify(acme, people["grace"], "web_search", "red", prod)
    assert (risk_of("web_search", there), risk_of("web_search", elsewhere)) == (Risk.RED, Risk.GREEN)
    classify(acme, people["grace"], "web_search", "yellow")
    assert (risk_of("web_search", there), risk_of("web_search", elsewhere)) == (Risk.RED, Risk.YELLOW)
    assert ToolRisk.objects.filter(until=None, tool="web_search").count() == 2


def test_an_environment_raises_what_counts_everywhere_and_never_lowers_it(acme, people, dev):
    one = make.instance(environment=dev)
    classify(acme, people["grace"], "web_search", "red")
    with pytest.raises(Invalid, match="may raise that, not lower it"):
        classify(acme, people["erin"], "bash", "green", dev)
    classify(acme, people["erin"], "web_search", "yellow", dev)
    assert risk_of("web_search", one) == Risk.RED


def test_a_ceiling_of_an_environment_holds_there_only(acme, people, dev, prod):
    there, elsewhere = make.instance(environment=prod), make.instance(environment=dev)
    classify(acme, people["grace"], "deploy", "", prod, ceiling=1)
    make.bound(acme)
    rules, agents = load_rules(acme.pk), load_agents([there.pk, elsewhere.pk])
    held = [[one.ceiling for one in rules.envelope_of(agents[row.pk]).overlays] for row in (there, elsewhere)]
    assert held == [[1], []]


def test_who_has_the_right_in_one_environment_classifies_there_only(acme, dev, prod):
    bob = make.user("bob", member_of=acme)
    make.grant(bob, dev, Right.DRAFT_POLICY)
    classify(acme, bob, "web_search", "red", dev)
    for elsewhere in (prod, None):
        with pytest.raises(NotAllowed):
            classify(acme, bob, "web_search", "red", elsewhere)
    with pytest.raises(NotAllowed):
        classify(acme, bob, "never_heard_of", "green", dev)
    record = ChangeRecord.objects.get(verb="policy.tool.classified")
    assert record.after["environment"] == "dev"


def test_the_place_of_an_entry_does_not_change(acme, people, dev, prod):
    entry = classify(acme, people["grace"], "web_search", "red", dev)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        ToolRisk.objects.filter(pk=entry.pk).update(environment=prod)


# approvals


def route(environment, actor, **to):
    return services.route_approvals(environment=environment, actor=actor, reason="on call", **to)


@pytest.fixture
def crew(acme, people):
    team = make.team("crew")
    people["erin"].groups.add(team.group)
    return team


def test_the_team_of_an_environment_is_asked_and_nobody_else_decides(acme, people, prod, dev, crew):
    route(prod, people["grace"], team=crew)
    there, elsewhere = requested(make.instance(environment=prod)), requested(make.instance(environment=dev))
    assert there.team == crew and elsewhere.team is None
    assert set(waiting_for(people["erin"], acme, type(there).objects.all())) == {there, elsewhere}
    assert set(waiting_for(people["frank"], acme, type(there).objects.all())) == {elsewhere}
    page = approval_page(there, people["frank"])
    assert not page.standing.may and "The team crew is asked" in page.standing.why_not
    assert page.who_may == ("erin",)
    with pytest.raises(NotAllowed, match="you are not in it"):
        decide(there, people["frank"])
    assert decide(there, people["erin"]).state == "approved"


def test_a_role_of_an_environment_comes_on_top_of_what_the_policy_wants(acme, people, prod):
    route(prod, people["grace"], role="approver")
    asked = requested(make.instance(environment=prod))
    assert "approver" in asked.roles
    judy = make.user("judy", member_of=acme)
    make.grant(judy, acme, Right.DECIDE_APPROVAL)
    with pytest.raises(NotAllowed, match="you are not approver"):
        decide(asked, judy)
    assert decide(asked, people["frank"]).state == "approved"


def test_what_was_asked_before_keeps_its_terms(people, prod, crew):
    before = requested(make.instance(environment=prod))
    route(prod, people["grace"], team=crew)
    assert decide(before, people["frank"]).state == "approved"


def test_a_first_route_narrows_and_another_one_takes_an_approver(people, prod, crew):
    first = route(prod, people["grace"], team=crew)
    with pytest.raises(NotAllowed):
        route(prod, people["grace"], role="approver")
    second = route(prod, people["erin"], role="approver")
    first.refresh_from_db()
    assert first.until is not None and second.until is None
    with pytest.raises(NotAllowed):
        services.end_route(route=second, actor=people["grace"], reason="no")
    ended = services.end_route(route=second, actor=people["frank"], reason="all again")
    assert ended.until is not None and requested(make.instance(environment=prod)).team is None
    with pytest.raises(Conflict, match="has ended already"):
        services.end_route(route=ended, actor=people["frank"], reason="again")


def test_a_team_in_which_nobody_may_decide_is_refused(people, prod, acme):
    idle = make.team("idle")
    people["vera"].groups.add(idle.group)
    with pytest.raises(Conflict, match="Nobody in idle may decide"):
        route(prod, people["grace"], team=idle)
    for wrong in ({}, {"team": idle, "role": "approver"}, {"role": "viewer"}):
        with pytest.raises(Invalid):
            route(prod, people["grace"], **wrong)
    assert not ApprovalRoute.objects.exists()


def test_a_route_that_has_ended_never_stands_again(people, prod, crew):
    ended = services.end_route(
        route=route(prod, people["grace"], team=crew), actor=people["erin"], reason="r"
    )
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        ApprovalRoute.objects.filter(pk=ended.pk).update(until=None)
    assert ended.until <= clock.now()


# pages and API


def test_pages_set_both_and_the_environment_shows_them(client, acme, people, prod, crew):
    client.force_login(people["grace"])
    place = client.get(prod.get_absolute_url()).content.decode()
    assert "Tools have the class that they have everywhere" in place
    form = {"tool": "web_search", "environment": prod.pk, "risk": "red", "tool_class": "", "reason": "audit"}
    assert client.post(reverse("policy:tool_classify"), form).status_code == 302
    to = {"environment": prod.pk, "team": crew.pk, "role": "", "reason": "on call"}
    assert client.post(reverse("policy:route_create"), to).status_code == 302
    assert client.post(reverse("policy:route_create"), to | {"team": ""}).status_code == 422
    place = client.get(prod.get_absolute_url()).content.decode()
    assert "web_search" in place and "The team crew" in place and "erin" in place
    assert "in <a" in client.get(reverse("policy:tool_list")).content.decode()
    held = ApprovalRoute.objects.get()
    assert client.get(reverse("policy:route_end", args=[held.typeid])).status_code == 403
    client.force_login(people["erin"])
    assert client.post(reverse("policy:route_end", args=[held.typeid]), {"reason": "r"}).status_code == 302


def test_the_api_sets_both_and_names_what_is_wrong(client, acme, people, prod, crew):
    client.force_login(people["grace"])

    def post(noun, **body):
        return client.post(f"{API}/{noun}/", body, content_type="application/json")

    made = post("tools", tool="web_search", risk="red", note="audit", environment=prod.typeid)
    assert made.status_code == 201 and made.json()["environment"] == "prod"
    sent = post("routes", environment=prod.typeid, team="crew", reason="r")
    assert sent.status_code == 201 and sent.json()["team"] == "crew"
    assert post("routes", environment=prod.typeid, team="nobody", reason="r").status_code == 422
    assert client.get(f"{API}/routes/", {"environment": "prod"}).json()["results"][0]["team"] == "crew"
    end = f"{API}/routes/{sent.json()['id']}/end/"
    assert client.post(end, {"reason": "r"}, content_type="application/json").status_code == 403
    client.force_login(people["erin"])
    assert client.post(end, {"reason": "r"}, content_type="application/json").json()["until"]


# the default


def test_a_default_holds_for_what_no_policy_is_bound_to_and_for_nothing_else(acme, people, prod):
    baseline = make.policy(tenant=acme)
    new, governed = make.instance(environment=prod), make.instance(environment=prod)
    own = make.bound(governed)

    def held(instance):
        return load_rules(acme.pk).policies_of(load_agents([instance.pk])[instance.pk])

    assert held(new) == ()
    with pytest.raises(NotAllowed):
        services.set_default_policy(tenant=acme, policy=baseline, actor=people["grace"], reason="r")
    services.set_default_policy(tenant=acme, policy=baseline, actor=people["erin"], reason="a floor")
    assert held(new) == (baseline.pk,) and held(governed) == (own.pk,)
    assert PolicyBound().check(new).passed
    slot = make.slot(environment=prod)
    assert SlotHasPolicy().check(slot, make.approved()).passed
    services.set_default_policy(tenant=acme, policy=None, actor=people["erin"], reason="none")
    assert held(new) == () and not SlotHasPolicy().check(slot, make.approved()).passed
    with pytest.raises(Conflict, match="no active version"):
        draft = make.policy_version(tenant=acme).policy
        services.set_default_policy(tenant=acme, policy=draft, actor=people["erin"], reason="r")


def test_page_panel_and_api_of_the_default(client, acme, people, prod):
    baseline, one = make.policy(tenant=acme, name="Baseline"), make.instance(environment=prod)
    client.force_login(people["grace"])
    assert client.get(reverse("policy:default_set")).status_code == 403
    client.force_login(people["erin"])
    posted = client.post(reverse("policy:default_set"), {"policy": baseline.pk, "reason": "r"})
    assert posted.status_code == 302
    assert client.get(f"{API}/default/").json() == {"policy": baseline.typeid}
    assert "the default of the tenant holds" in client.get(one.get_absolute_url()).content.decode()
    kind = {"content_type": "application/json"}
    assert client.put(f"{API}/default/", {"policy": None, "reason": "r"}, **kind).json() == {"policy": None}
    assert client.put(f"{API}/default/", {"policy": "pol_x", "reason": "r"}, **kind).status_code == 422
