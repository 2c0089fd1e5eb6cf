"""A moment at the edge of the calendar is refused by its box, wherever one is asked for; it never ends in an error."""

import pytest

from tests import make

pytestmark = pytest.mark.django_db
EDGES = (
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59Z",
    "2200-01-01T00:00:01Z",
)


@pytest.fixture
def rita(client):
    acme = make.tenant("acme")
    user = make.everything(make.user("rita", member_of=acme), acme)
    client.force_login(user)
    return acme


@pytest.mark.parametrize("moment", EDGES)
@pytest.mark.parametrize(
    "address",
    [
        "/registry/fleet/?at=",
        "/registry/fleet/changed/?from=",
        "/costs/ledger/?since=",
        "/telemetry/events/?since=",
        "/telemetry/quarantine/?since=",
        "/changes/?since=",
    ],
)
def test_a_page_says_that_no_clock_here_shows_it(client, rita, address, moment):
    page = client.get(address + moment.replace("+", "%2B"))
    assert page.status_code == 200 and "Must be between 1970 and 2200." in page.content.decode()


def test_a_period_of_costs_stays_in_the_calendar(client, rita):
    page = client.get("/costs/?since=9999-12-31&until=9999-12-31")
    assert page.status_code == 200 and "Must be between 1970 and 2200." in page.content.decode()


@pytest.mark.parametrize("moment", EDGES)
def test_the_instance_then_and_the_preview_of_a_stop_take_no_such_moment(client, rita, moment):
    instance = make.instance(version=make.approved(template=make.template(tenant=rita)))
    then = client.get(f"/registry/instances/{instance.typeid}/at/", {"at": moment})
    assert then.status_code == 200 and "Must be between 1970 and 2200." in then.content.decode()
    asked = {"until": moment, "named": instance.typeid, "mode": "pause"}
    back = client.get("/stop/preview/", asked, follow=True)
    assert back.redirect_chain and back.status_code == 200  # to the page that chooses, with what was sent
