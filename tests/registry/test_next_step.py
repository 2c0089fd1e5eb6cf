"""What a release manager does next stands where she looks: on the version's page and on the board."""

import pytest

from arm.models import ChangeRecord
from arm.rights import Right
from registry import services
from registry.lifecycle import VersionState
from tests import make
from tests.registry.releasing import bound, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob(tenant):
    """Reads, and releases nothing."""
    user = make.user("bob", member_of=tenant)
    make.grant(user, tenant, Right.READ_DIRECTORY)
    return user


@pytest.fixture
def places(settings, tenant):
    settings.BINDING_GATES = []
    role = make.role("clerk")
    return {
        slug: make.slot(environment=make.environment(slug), role=role) for slug in ("dev", "staging", "prod")
    }


def text(client, user, url):
    client.force_login(user)
    return client.get(url).content.decode()


def test_an_approved_version_leads_to_the_slot_of_the_next_channel_only(client, rita, places):
    version = make.approved()
    bound(places["dev"], version, actor=rita)
    bound(places["staging"], make.approved(), actor=rita)
    page = text(client, rita, version.get_absolute_url())
    by = f"?version={version.typeid}"
    assert f"/slots/{places['staging'].typeid}/rollout/{by}" in page
    assert f"/slots/{places['staging'].typeid}/bind/{by}" in page
    assert places["prod"].typeid not in page
    form = text(client, rita, f"/registry/slots/{places['staging'].typeid}/rollout/{by}")
    assert f'value="{version.typeid}"' in form, "filled in"


def test_who_may_not_release_sees_no_way_to(client, rita, bob, places):
    version = make.approved()
    bound(places["dev"], version, actor=rita)
    assert "/bind/" not in text(client, bob, version.get_absolute_url())
    assert "/bind/" not in text(client, bob, "/registry/channels/")
    assert "/bind/" in text(client, rita, "/registry/channels/")


def test_what_was_never_approved_and_what_a_rollout_holds_has_no_next_step(client, rita, places):
    early = make.version(state=VersionState.TESTING)
    bound(places["dev"], early, actor=rita)
    assert "next-channel" not in text(client, rita, early.get_absolute_url())
    version = make.approved()
    bound(places["dev"], version, actor=rita)
    assert "next-channel" in text(client, rita, version.get_absolute_url())
    bound(places["staging"], make.approved(), actor=rita)
    started(places["staging"], make.approved(), rita)
    assert "next-channel" not in text(client, rita, version.get_absolute_url())


def test_the_board_shows_where_each_version_may_climb_to(client, rita, places):
    version = make.approved()
    bound(places["dev"], version, actor=rita)
    page = text(client, rita, "/registry/channels/")
    assert f"/slots/{places['staging'].typeid}/bind/?version={version.typeid}" in page
    assert f"/slots/{places['prod'].typeid}/bind/" not in page
    bound(places["staging"], version, actor=rita)
    page = text(client, rita, "/registry/channels/")
    assert f"/slots/{places['prod'].typeid}/bind/?version={version.typeid}" in page
    assert f"/slots/{places['staging'].typeid}/bind/" not in page, "it is there"


def test_the_page_of_a_version_says_who_approved_it(client, settings, tenant):
    settings.PROMOTION_GATES = []
    version = make.version(state=VersionState.CANDIDATE)
    dana = make.everything(make.user("dana", member_of=tenant), tenant)
    services.move_version(version=version, to=VersionState.APPROVED, actor=dana, reason="good")
    record = ChangeRecord.objects.about(version).get(verb="registry.version.moved")
    page = text(client, dana, version.get_absolute_url())
    said = page[page.index("Approved by") :][:300]
    assert "dana" in said and record.get_absolute_url() in said


@pytest.mark.parametrize(
    ("words", "there"),
    [
        ("Refund desk v1", True),
        ("refund V1", True),
        ("Refund desk spring", True),
        ("Refund desk v2", False),
        ("Other v1", False),
    ],
)
def test_the_palette_finds_a_version_by_its_agent_and_number_or_label(client, bob, words, there):
    version = make.approved(template=make.template(name="Refund desk"), label="spring")
    client.force_login(bob)
    page = client.get("/search/", {"q": words}).content.decode()
    assert (version.get_absolute_url() in page) is there


@pytest.fixture
def paul(tenant, places):
    """Releases at one provider, wherever its slots are."""
    user = make.user("paul", member_of=tenant)
    make.grant(user, tenant, Right.READ_DIRECTORY)
    make.grant(user, places["staging"].provider, Right.PROMOTE_RELEASE)
    return user


def test_who_may_release_at_a_provider_only_is_offered_a_binding_and_no_rollout(client, rita, paul, places):
    version, slot = make.approved(), places["staging"]
    bound(places["dev"], version, actor=rita)
    bound(slot, make.approved(), actor=rita)
    plan, bind = f"/slots/{slot.typeid}/rollout/", f"/slots/{slot.typeid}/bind/"
    for page in (version.get_absolute_url(), "/registry/channels/", slot.get_absolute_url()):
        seen = text(client, paul, page)
        assert bind in seen and plan not in seen, page
        assert plan in text(client, rita, page), page
    client.force_login(paul)
    assert client.get(f"/registry{plan}").status_code == 403
    assert client.get(f"/registry{bind}").status_code == 200


def test_a_slot_that_was_closed_is_no_next_step(client, rita, places):
    version, slot = make.approved(), places["staging"]
    bound(places["dev"], version, actor=rita)
    services.empty_slot(slot=slot, actor=rita, reason="moved", close=True)
    for page in (version.get_absolute_url(), "/registry/channels/", slot.get_absolute_url()):
        seen = text(client, rita, page)
        assert f"/slots/{slot.typeid}/bind/" not in seen and f"/slots/{slot.typeid}/rollout/" not in seen, (
            page
        )


def test_a_new_agents_first_version_is_led_to_the_empty_slots_of_the_first_channel(client, rita, bob, places):
    version, slot = make.approved(template=make.template(name="Newcomer")), places["dev"]
    page = text(client, rita, version.get_absolute_url())
    assert f"/slots/{slot.typeid}/bind/?version={version.typeid}" in page
    assert f"/slots/{slot.typeid}/rollout/" not in page, "a slot that is empty is bound"
    assert places["staging"].typeid not in page and places["prod"].typeid not in page
    assert "/bind/" not in text(client, bob, version.get_absolute_url())
    form = text(client, rita, f"/registry/slots/{slot.typeid}/bind/?version={version.typeid}")
    assert f'value="{version.typeid}"' in form, "filled in"


def test_an_agent_that_has_a_slot_in_the_first_channel_is_led_there_and_to_no_empty_one(client, rita, places):
    first = make.approved(template=make.template(name="Newcomer"))
    empty = make.slot(environment=places["dev"].environment, role=make.role("other"))
    bound(places["dev"], first, actor=rita)
    second = make.approved(template=first.template)
    page = text(client, rita, second.get_absolute_url())
    assert f"/slots/{places['dev'].typeid}/rollout/?version={second.typeid}" in page
    assert empty.typeid not in page
    services.empty_slot(slot=places["dev"], actor=rita, reason="a pause")
    assert empty.typeid not in text(client, rita, first.get_absolute_url()), (
        "it has begun: it climbs from there"
    )
    assert empty.typeid in text(client, rita, second.get_absolute_url()), (
        "it has not, and its agent has none there"
    )
