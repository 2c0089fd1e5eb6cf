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
def tenant():
    return make.tenant("acme")


@pytest.fixture
def rita(tenant):
    return make.hired("rita", "release_manager", tenant)


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
