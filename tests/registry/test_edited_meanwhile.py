"""Who changes what another has changed meanwhile is told what, and nothing is written over: owners, successors, roles, slots."""

import json

import pytest
from django.urls import reverse

from registry import queries, services
from tests import make

pytestmark = pytest.mark.django_db
API = "/api/v1/registry"


@pytest.fixture
def acme(settings):
    settings.BINDING_GATES = []
    return make.tenant("acme")


@pytest.fixture
def alice(acme, client):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


@pytest.fixture
def people(acme):
    return [make.user(name, member_of=acme) for name in ("bob", "carol")]


@pytest.fixture
def agent(acme, alice):
    return services.register_template(tenant=acme, slug="mail", name="Mail", actor=alice, reason="r")


def owners(agent):
    return sorted(user.username for user in queries.owners(agent))


def opened(client, page):
    """What the page carries along, exactly as a browser sends it back."""
    return client.get(page).context["form"]["seen"].value()


def asked(client, method, path, **body):
    return getattr(client, method)(
        f"{API}/{path}", json.dumps(body | {"reason": "r"}), content_type="application/json"
    )


def test_owners_that_others_changed_are_named_and_what_was_chosen_stays_on_the_form(
    client, alice, agent, people
):
    page = reverse("registry:template_owners", args=[agent.typeid])
    mine = {"owners": ["alice", "carol"], "reason": "she helps", "seen": opened(client, page)}
    services.set_owners(template=agent, owners=[alice, people[0]], actor=alice, reason="he helps")
    refused = client.post(page, mine)
    text = refused.content.decode()
    assert refused.status_code == 409 and "owners is “alice, bob” by now" in text
    form = refused.context["form"]
    assert form["owners"].value() == ["alice", "carol"] and "she helps" in text
    assert owners(agent) == ["alice", "bob"]
    assert client.post(page, mine | {"seen": form["seen"].value()}).status_code == 302, "now it was read"
    assert owners(agent) == ["alice", "carol"]


def test_successors_that_others_changed_are_named(client, alice, agent, people):
    page = reverse("registry:template_successors", args=[agent.typeid])
    mine = {"successors": "carol", "reason": "r", "seen": opened(client, page)}
    services.set_successors(template=agent, successors=people, actor=alice, reason="r")
    refused = client.post(page, mine)
    assert refused.status_code == 409 and "successors is “bob, carol” by now" in refused.content.decode()
    assert refused.context["form"]["successors"].value() == "carol"
    assert list(queries.successors(agent)) == people
    again = mine | {"seen": refused.context["form"]["seen"].value()}
    assert client.post(page, again).status_code == 302


def test_what_was_changed_of_a_role_is_named_and_nothing_of_it_is_lost(client, alice):
    role = make.role("clerk", name="Clerk", tier=1)
    page = reverse("registry:role_edit", args=[role.typeid])
    shown = client.get(page).context["form"]
    mine = {name: shown[name].value() or "" for name in shown.fields} | {"name": "Mine", "reason": "better"}
    services.update_role(role=role, actor=alice, reason="r", tier=3, purpose="Answers")
    refused = client.post(page, mine)
    text = refused.content.decode()
    assert refused.status_code == 409
    assert "purpose is “Answers” by now; tier is “3” by now; revision is “2” by now" in text
    assert "Mine" in text and "better" in text
    role.refresh_from_db()
    assert (role.name, role.tier) == ("Clerk", 3)
    again = mine | {"tier": 3, "purpose": "Answers", "seen": refused.context["form"]["seen"].value()}
    assert client.post(page, again).status_code == 302
    role.refresh_from_db()
    assert (role.name, role.tier, role.purpose) == ("Mine", 3, "Answers")


def test_the_admin_tells_as_much_of_a_role(client, alice):
    role = make.role("clerk", name="Clerk", tier=1)
    page = reverse("admin:registry_roledefinition_change", args=[role.pk])
    shown = client.get(page)
    form = shown.context["adminform"].form
    assert 'name="seen"' in shown.content.decode()
    mine = {name: form[name].value() for name in form.fields}
    mine = {name: value for name, value in mine.items() if value not in (None, False)}
    mine |= {
        f"assignments-{part}": "0" for part in ("TOTAL_FORMS", "INITIAL_FORMS")
    } | {"name": "Mine", "reason": "better"}  # fmt: skip
    services.update_role(role=role, actor=alice, reason="r", tier=3)
    refused = client.post(page, mine)
    text = refused.content.decode()
    assert refused.status_code == 409 and "tier is “3” by now" in text and "better" in text
    role.refresh_from_db()
    assert (role.name, role.tier) == ("Clerk", 3)
    seen = refused.context["adminform"].form["seen"].value()
    assert client.post(page, mine | {"tier": 3, "seen": seen}).status_code == 302
    role.refresh_from_db()
    assert (role.name, role.tier) == ("Mine", 3)


@pytest.mark.parametrize("bound", [True, False])
def test_a_slot_that_others_bound_meanwhile_is_not_bound_anew(client, alice, bound):
    slot, first, theirs, mine = make.slot(), make.approved(), make.approved(), make.approved()
    if bound:
        services.bind_slot(slot=slot, version=first, actor=alice, reason="r")
    page = reverse("registry:slot_bind", args=[slot.typeid])
    typed = {"version": mine.typeid, "reason": "r", "seen": opened(client, page)}
    services.bind_slot(slot=slot, version=theirs, actor=alice, reason="r", acknowledged="yes")
    refused = client.post(page, typed | {"acknowledged": "yes"})
    assert refused.status_code == 409 and f"version is “{theirs}” by now" in refused.content.decode()
    assert refused.context["form"]["version"].value() == mine.typeid
    slot.refresh_from_db()
    assert slot.current_version == theirs
    again = typed | {"seen": refused.context["form"]["seen"].value(), "acknowledged": "yes"}
    assert client.post(page, again).status_code == 302


def test_a_caller_may_say_what_was_seen(client, alice, agent, people):
    role, slot, one, two = make.role("clerk"), make.slot(), make.approved(), make.approved()
    services.set_owners(template=agent, owners=people, actor=alice, reason="r")
    services.set_successors(template=agent, successors=people, actor=alice, reason="r")
    services.update_role(role=role, actor=alice, reason="r", tier=3)
    services.bind_slot(slot=slot, version=one, actor=alice, reason="r")
    doors = [
        ("post", f"templates/{agent.typeid}/owners/", {"owners": ["alice"]}, ["alice"], ["carol", "bob"]),
        (
            "put",
            f"templates/{agent.typeid}/successors/",
            {"successors": ["carol"]},
            ["carol", "bob"],
            ["bob", "carol"],
        ),
        ("patch", f"roles/{role.typeid}/", {"name": "New"}, 1, 2),
        (
            "post",
            f"slots/{slot.typeid}/bind/",
            {"version": two.typeid, "acknowledged": "yes"},
            None,
            one.typeid,
        ),
    ]
    for method, path, body, before, now in doors:
        refused = asked(client, method, path, **body, seen=before)
        assert refused.status_code == 409 and refused.json()["code"] == "edited_meanwhile", path
        assert refused.json()["changed"] and "by now" in refused.json()["detail"]
        assert asked(client, method, path, **body, seen=now).status_code == 200, path


def test_an_etag_says_as_much_of_owners_as_seen_does(client, alice, agent, people):
    url = f"{API}/templates/{agent.typeid}/"
    etag, body = client.get(url)["ETag"], json.dumps({"owners": ["alice", "bob"], "reason": "r"})
    sent = {"content_type": "application/json", "headers": {"If-Match": etag}}
    assert client.post(f"{url}owners/", body, **sent).status_code == 200
    assert client.post(f"{url}owners/", body, **sent).status_code == 412
    wrong = json.dumps({"owners": ["mallory"], "reason": "r"})
    sent["headers"] = {"If-Match": client.get(url)["ETag"]}
    assert client.post(f"{url}owners/", wrong, **sent).status_code == 422


def test_a_page_that_was_not_sent_as_it_was_shown_is_refused(client, alice, agent):
    page = reverse("registry:template_owners", args=[agent.typeid])
    for wrong in ("{", "7", '"alice"'):
        assert client.post(page, {"owners": ["alice"], "reason": "r", "seen": wrong}).status_code == 422
