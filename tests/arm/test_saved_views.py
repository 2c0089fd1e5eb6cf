"""Saved views: questions to lists, kept, shared, and refused where the list no longer understands them."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from arm import db, listing, services
from arm.errors import Conflict, Invalid, NotAllowed, NotFound
from arm.models import ChangeRecord, DefaultView, SavedView
from arm.rights import Right
from tests import make

pytestmark = pytest.mark.django_db
AGENTS, INSTANCES = "registry:template_list", "registry:instance_list"


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme):
    return make.hired("alice", "fleet_operator", acme)


@pytest.fixture
def bob(acme):
    return make.hired("bob", "viewer", acme)


def saved(alice, acme, **kw):
    said = {"list_name": AGENTS, "name": "Risky", "query": "risk=high&risk=critical"} | kw
    return services.save_view(tenant=acme, actor=alice, **said)


def opened(user, path, follow=True):
    client = Client()
    client.force_login(user)
    return client.get(path, follow=follow)


def agents_url():
    return listing.listings()[AGENTS].url


# what may be asked


def test_a_view_keeps_filters_and_order_and_leaves_the_page_out(acme, alice):
    view = saved(alice, acme, query="sort=-name&page=7&risk=high&q=&view=all")
    assert view.query == "risk=high&sort=-name"


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("risk=high&colour=blue", "/query/colour"),
        ("risk=purple", "/query/risk"),
        ("sort=owner", "/query/sort"),
    ],
)
def test_what_the_list_does_not_know_is_refused_by_name(acme, alice, query, pointer):
    with pytest.raises(Invalid) as refusal:
        saved(alice, acme, query=query)
    assert [problem["pointer"] for problem in refusal.value.errors] == [pointer]
    assert not SavedView.objects.exists()


def test_every_list_page_with_filters_takes_views():
    names = set(listing.listings())
    assert {AGENTS, "registry:version_list", INSTANCES, "change_list"} <= names
    assert {"telemetry:incident_list", "policy:policy_list", "costs:cap_list"} <= names
    assert all(
        isinstance(found.right, Right) and found.label and found.url for found in listing.listings().values()
    )


def test_a_page_that_is_no_list_keeps_no_view(acme, alice):
    with pytest.raises(Invalid):
        saved(alice, acme, list_name="home")


def test_the_order_of_a_list_that_sorts_by_itself_is_kept(acme, alice):
    view = saved(alice, acme, list_name="telemetry:incident_list", query="sort=opened")
    assert view.query == "sort=opened"


def test_a_name_is_given_once_per_list_and_person(acme, alice, bob):
    saved(alice, acme)
    with pytest.raises(Conflict, match="already"):
        saved(alice, acme)
    saved(alice, acme, list_name=INSTANCES, query="")
    saved(bob, acme)
    with pytest.raises(Invalid):
        saved(alice, acme, name="   ")


def test_who_may_not_open_the_list_keeps_no_view_of_it(acme):
    mallory = make.user("mallory", member_of=acme)
    with pytest.raises(NotAllowed):
        saved(mallory, acme)


# sharing


def test_a_shared_view_is_found_by_others_and_shows_each_their_own_rows(acme, alice):
    seen, hidden = make.template("seen", risk="high"), make.template("hidden", risk="high")
    carol = make.user("carol", member_of=acme)
    make.grant(carol, seen, Right.READ_DIRECTORY)
    view = saved(alice, acme, shared=True)
    page = opened(carol, f"{agents_url()}?view={view.typeid}").content.decode()
    assert seen.typeid in page and hidden.typeid not in page
    assert hidden.typeid in opened(alice, f"{agents_url()}?view={view.typeid}").content.decode()


def test_a_private_view_is_nobody_elses(acme, alice, bob):
    view = saved(alice, acme)
    page = opened(bob, f"{agents_url()}?view={view.typeid}")
    assert page.status_code == 409 and "is no more, or is not shared" in page.content.decode()
    assert "Risky" not in opened(bob, "/views/").content.decode()
    with pytest.raises(NotFound):
        services.set_default_view(view=view, actor=bob)


def test_sharing_takes_the_right_on_the_whole_tenant(acme):
    carol = make.user("carol", member_of=acme)
    make.grant(carol, make.template(), Right.READ_DIRECTORY)
    saved(carol, acme, name="mine")
    with pytest.raises(NotAllowed):
        saved(carol, acme, name="ours", shared=True)
    assert not SavedView.objects.filter(shared=True).exists()


def test_a_shared_view_of_a_list_is_found_only_by_who_may_open_that_list(acme, alice):
    auditor = make.hired("audrey", "auditor", acme)
    bob = make.hired("bob", "viewer", acme)
    view = saved(auditor, acme, list_name="change_list", query="verb=registry", shared=True)
    assert view not in listing.seen_views(bob)  # a viewer does not read the changes
    assert view in listing.seen_views(alice)


def test_what_others_may_use_is_recorded_and_what_is_private_is_not(acme, alice):
    private = saved(alice, acme, name="private")
    services.delete_view(view=services.change_view(view=private, actor=alice, name="still"), actor=alice)
    assert not ChangeRecord.objects.filter(verb__startswith="arm.view").exists()
    view = saved(alice, acme, shared=True)
    services.change_view(view=view, actor=alice, name="Riskier")
    services.change_view(view=view, actor=alice, shared=False)
    services.change_view(view=view, actor=alice, shared=True)
    services.delete_view(view=view, actor=alice)
    verbs = (
        ChangeRecord.objects.filter(verb__startswith="arm.view")
        .order_by("at", "pk")
        .values_list("verb", flat=True)
    )
    assert [verb.rpartition(".")[2] for verb in verbs] == [
        "shared",
        "changed",
        "unshared",
        "shared",
        "deleted",
    ]


def test_nobody_changes_another_persons_view_but_a_manager_takes_sharing_back(acme, alice, bob):
    view = saved(alice, acme, shared=True)
    services.set_default_view(view=view, actor=bob)
    services.set_default_view(view=view, actor=alice)
    for change in ({"name": "Mine now"}, {"query": ""}, {"shared": False}):
        with pytest.raises(NotAllowed):
            services.change_view(view=view, actor=bob, **change)
    with pytest.raises(NotAllowed):
        services.delete_view(view=view, actor=bob)
    admin = make.hired("ada", "tenant_admin", acme)
    with pytest.raises(NotAllowed):
        services.change_view(view=view, actor=admin, query="")
    services.change_view(view=view, actor=admin, shared=False, reason="misleading")
    held = SavedView.objects.get()
    assert (held.shared, held.owner) == (False, alice)
    assert [row.user for row in DefaultView.objects.all()] == [alice]
    record = ChangeRecord.objects.get(verb="arm.view.unshared")
    assert (record.after["default_of"], record.reason) == (["bob"], "misleading")


# defaults


def test_a_list_opens_with_the_persons_default_and_without_it_on_demand(acme, alice):
    make.template("calm", risk="low")
    services.set_default_view(view=saved(alice, acme), actor=alice)
    answer = opened(alice, agents_url(), follow=False)
    assert answer.status_code == 302
    assert parse_qs(urlsplit(answer["Location"]).query)["risk"] == ["critical", "high"]
    assert "calm" not in opened(alice, agents_url()).content.decode()
    assert "calm" in opened(alice, f"{agents_url()}?view=all").content.decode()
    assert 'href="?view=all"' in opened(alice, agents_url()).content.decode()


def test_one_default_for_each_list_and_person(acme, alice, bob):
    first, second = saved(alice, acme, shared=True), saved(alice, acme, name="Other")
    for view in (first, second):
        services.set_default_view(view=view, actor=alice)
    services.set_default_view(view=first, actor=bob)
    assert {row.user.username: row.view.name for row in DefaultView.objects.all()} == {
        "alice": "Other",
        "bob": "Risky",
    }
    services.set_default_view(view=second, actor=alice, on=False)
    assert not DefaultView.objects.filter(user=alice).exists()


def test_filters_that_are_cleared_by_hand_stay_cleared(acme, alice):
    make.template("calm", risk="low")
    view = saved(alice, acme)
    page = opened(alice, f"{agents_url()}?view={view.typeid}&q=")
    assert "calm" in page.content.decode() and "Changed" in page.content.decode()


# deleting


def test_deleting_says_whose_list_opened_with_it(acme, alice, bob):
    view = saved(alice, acme, shared=True)
    services.set_default_view(view=view, actor=bob)
    page = opened(alice, f"/views/{view.typeid}/delete/").content.decode()
    assert "opens with it for bob" in page and "other" in page
    assert services.delete_view(view=view, actor=alice, reason="wrong") == ["bob"]
    assert not SavedView.objects.exists() and not DefaultView.objects.exists()
    assert ChangeRecord.objects.get(verb="arm.view.deleted").before["default_of"] == ["bob"]
    assert opened(bob, agents_url()).status_code == 200


# filters that are gone


def test_a_view_whose_filter_is_gone_says_so_and_shows_no_row(acme, alice):
    make.template("calm", risk="low")
    view = make.view(alice, query="hue=dark&risk=low")
    for path in (
        f"{agents_url()}?view={view.typeid}",
        f"{agents_url()}?view={view.typeid}&risk=low&format=csv",
    ):
        page = opened(alice, path)
        assert page.status_code == 409
        assert "has no filter “hue”" in page.content.decode() and "calm" not in page.content.decode()
    assert "cannot be opened" in opened(alice, "/views/").content.decode()


def test_a_view_whose_list_is_gone_is_still_there_to_be_deleted(acme, alice):
    view = make.view(alice, list_name="registry:old_list")
    page = opened(alice, "/views/").content.decode()
    assert "no list “registry:old_list”" in page
    services.delete_view(view=view, actor=alice)


def test_a_value_that_is_not_this_persons_to_see_shows_nothing(acme, alice):
    prod = make.environment("prod")
    mine = make.instance(environment=make.environment("dev"))
    carol = make.user("carol", member_of=acme)
    make.grant(carol, mine.environment, Right.READ_DIRECTORY)
    view = saved(alice, acme, list_name=INSTANCES, query=f"environment={prod.slug}", shared=True)
    page = opened(carol, f"{listing.listings()[INSTANCES].url}?view={view.typeid}").content.decode()
    assert mine.typeid not in page and "asks for something that is not here" in page


# the walls


def test_a_view_is_of_one_tenant(acme, alice):
    view = saved(alice, acme, shared=True)
    other = make.tenant("other")
    mallory = make.everything(make.user("mallory", member_of=other), other)
    with db.tenants([other.pk]):
        assert not listing.seen_views(mallory).exists()
        with pytest.raises(NotFound):
            services.set_default_view(view=view, actor=mallory)
    for path in (
        f"{agents_url()}?view={view.typeid}",
        f"/views/{view.typeid}/delete/",
        f"/views/{view.typeid}/default/",
    ):
        assert opened(mallory, path).status_code in {404, 409}
    assert "Risky" not in opened(mallory, "/views/").content.decode()


def test_whose_a_view_is_never_changes(acme, alice, bob):
    view = saved(alice, acme)
    for change in ({"owner": bob}, {"list_name": INSTANCES}):
        with pytest.raises(DatabaseError), transaction.atomic():
            SavedView.objects.filter(pk=view.pk).update(**change)


# pages and API


def test_a_view_is_saved_changed_and_made_the_default_on_pages(acme, alice):
    client = Client()
    client.force_login(alice)
    form = client.get("/views/save/", {"list": AGENTS, "query": "risk=high"}).content.decode()
    assert "Risk" in form and "Share it with everybody here" in form
    body = {"list": AGENTS, "query": "risk=high", "name": "Hot", "default": "on"}
    assert client.post("/views/save/", body).status_code == 302
    view = SavedView.objects.get()
    assert DefaultView.objects.get().view == view and not view.shared
    change = {"name": "Hotter", "query": "risk=critical", "shared": "on"}
    assert client.post(f"/views/{view.typeid}/change/", change).status_code == 302
    view.refresh_from_db()
    assert (view.name, view.query, view.shared) == ("Hotter", "risk=critical", True)
    assert not DefaultView.objects.exists()
    client.post(f"/views/{view.typeid}/default/")
    assert DefaultView.objects.get().user == alice
    client.post(f"/views/{view.typeid}/default/")
    assert not DefaultView.objects.exists()
    client.post(f"/views/{view.typeid}/delete/", {"reason": ""})
    assert not SavedView.objects.exists()


def test_a_refused_form_says_which_filter(acme, alice):
    client = Client()
    client.force_login(alice)
    answer = client.post("/views/save/", {"list": AGENTS, "query": "hue=dark", "name": "Dark"})
    assert answer.status_code == 422 and "has no filter “hue”" in answer.content.decode()


def test_the_api_keeps_views_by_the_same_rules(acme, alice, bob):
    client = Client()
    client.force_login(alice)

    def ask(method, path, body=None):
        call = getattr(client, method)
        return (
            call(f"/api/v1/views/{path}", body, content_type="application/json")
            if body is not None
            else call(f"/api/v1/views/{path}")
        )

    wrong = ask("post", "", {"list": AGENTS, "name": "x", "query": "hue=1"})
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["pointer"] == "/query/hue"
    made = ask("post", "", {"list": AGENTS, "name": "Risky", "query": "risk=high", "shared": True})
    assert made.status_code == 201 and made.json()["owner"] == "alice"
    path = f"{made.json()['id']}/"
    assert ask("patch", path, {"name": "Riskier"}).json()["name"] == "Riskier"
    assert ask("post", f"{path}default/", {"default": True}).json()["default"] is True
    client.force_login(bob)
    assert [row["name"] for row in ask("get", f"?list={AGENTS}").json()["results"]] == ["Riskier"]
    assert ask("patch", path, {"name": "Mine"}).status_code == 403
    client.force_login(make.user("mallory", member_of=acme))
    assert ask("get", path).status_code == 404
    client.force_login(alice)
    assert ask("post", f"{path}end/", {}).json() == {"default_of": []}
    assert ask("get", path).status_code == 404


def test_the_admin_takes_sharing_back(acme, alice):
    view = saved(alice, acme, shared=True)
    client = Client()
    client.force_login(make.hired("ada", "tenant_admin", acme))
    body = {"action": "take_back", "_selected_action": [str(view.pk)], "confirmed": "1", "reason": "stale"}
    client.post("/admin/arm/savedview/", body)
    view.refresh_from_db()
    assert not view.shared
    assert client.get(f"/admin/arm/savedview/{view.pk}/change/").status_code in {302, 404}  # private now


def test_the_views_of_a_list_cost_one_query(acme, alice, django_assert_max_num_queries):
    for number in range(30):
        make.view(alice, name=f"v{number}")
    client = Client()
    client.force_login(alice)
    client.get(agents_url())
    with django_assert_max_num_queries(15):
        client.get(f"{agents_url()}?view={SavedView.objects.first().typeid}&risk=high")
