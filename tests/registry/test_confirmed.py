"""Who confirms a step of a rollout: where a person's yes is asked, a person, who decides on what she has read."""

from datetime import timedelta

import pytest

from arm import changes, clock
from arm.errors import NotAllowed
from arm.models import ApiKey
from arm.rights import Right
from registry import services
from tests import make
from tests.registry.releasing import Told, bound, started

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=11)
API = "/api/v1/registry/rollouts/"


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True, "incidents": None})


@pytest.fixture
def begun(rita, old, new):
    """Begins a canary whose steps ask these gates."""

    def begin(*gates):
        slot = bound(make.slot(environment=make.environment("prod")), old, actor=rita)
        more = {"strategy": "canary", "percents": [10, 100], "health_gates": gates}
        return started(slot, new, rita, **more)

    return begin


@pytest.fixture
def by_token():
    """What is done meanwhile is done with an API key."""
    credential = changes.credential.set("key_01h455vb4pex5vsknk084sn02q")
    yield
    changes.credential.reset(credential)


def confirm(rollout, actor):
    with clock.at(clock.now() + LATER):
        return services.confirm_step(rollout=rollout, actor=actor, reason="read the answers")


WAITING = {
    "a gate that is a person's yes": ("errors", "manual"),
    "no gate": (),
    "health that nobody knows": ("errors", "incidents"),
}


@pytest.mark.parametrize("gates", WAITING.values(), ids=WAITING)
def test_no_token_gives_a_persons_yes(begun, rita, by_token, gates):
    rollout = begun(*gates)
    with pytest.raises(NotAllowed, match="A token cannot confirm a step: people do, signed in"):
        confirm(rollout, rita)
    step = rollout.steps.get(number=1)
    assert (step.state, step.confirmed_by) == ("baking", "")


@pytest.mark.parametrize("gates", WAITING.values(), ids=WAITING)
def test_a_person_who_is_signed_in_gives_it(begun, rita, gates):
    rollout = confirm(begun(*gates), rita)
    assert rollout.steps.get(number=1).confirmed_by == str(rita)


def test_who_lacks_the_right_is_told_of_that_first(begun, tenant, by_token):
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, tenant, Right.READ_DIRECTORY)
    with pytest.raises(NotAllowed) as refused:
        confirm(begun("manual"), bob)
    assert refused.value.extra["right"] == Right.PROMOTE_RELEASE.value


def post(client, rollout, verb, **headers):
    headers = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    url = f"{API}{rollout.typeid}/{verb}/"
    return client.post(url, {"reason": "go"}, content_type="application/json", **headers)


def test_the_api_takes_it_from_a_session_and_from_no_token(client, begun, rita, tenant):
    rollout = begun("manual")
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=rita)
    with clock.at(clock.now() + LATER):
        refused = post(client, rollout, "confirm", authorization=f"Bearer {token}")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed"), refused.json()
        assert "on the rollout's page" in refused.json()["detail"]
        client.force_login(rita)
        assert post(client, rollout, "confirm").json()["steps"][0]["confirmed_by"] == str(rita)


# If-Match


def read(client, rollout, **headers):
    return client.get(f"{API}{rollout.typeid}/", **headers)


def test_a_decision_stands_though_the_worker_has_looked_and_time_has_passed(client, begun, rita):
    rollout = begun("errors", "manual")
    client.force_login(rita)
    seen = read(client, rollout)
    with clock.at(clock.now() + LATER):
        services.advance_rollout(rollout_id=rollout.pk)
        now = read(client, rollout)
        assert now.json()["steps"][0]["judged_at"] != seen.json()["steps"][0]["judged_at"]
        answer = post(client, rollout, "confirm", if_match=seen["ETag"])
        assert answer.status_code == 200, answer.json()
        late = post(client, rollout, "pause", if_match=seen["ETag"])
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile"), "another step bakes"


def test_a_pause_by_somebody_else_in_between_is_told(client, begun, rita):
    rollout = begun("manual")
    client.force_login(rita)
    seen = read(client, rollout)["ETag"]
    services.pause_rollout(rollout=rollout, actor=rita, reason="The network is mended first")
    for verb in ("confirm", "abort", "resume"):
        answer = post(client, rollout, verb, if_match=seen)
        assert (answer.status_code, answer.json()["code"]) == (412, "changed_meanwhile"), verb
    assert post(client, rollout, "resume", if_match=answer.json()["etag"]).status_code == 200


def test_a_readers_copy_is_old_once_anything_that_is_shown_has_changed(client, begun, rita):
    rollout = begun("errors", "manual")
    client.force_login(rita)
    seen = read(client, rollout)["ETag"]
    assert read(client, rollout, HTTP_IF_NONE_MATCH=seen).status_code == 304
    services.advance_rollout(rollout_id=rollout.pk)
    assert read(client, rollout, HTTP_IF_NONE_MATCH=seen).status_code == 200


@pytest.mark.parametrize("named", ['"x"', "W/{}", '"{}"', '"."', '".{}"'])
def test_what_is_no_etag_of_it_matches_nothing(client, begun, rita, named):
    rollout = begun("manual")
    client.force_login(rita)
    seen = read(client, rollout)["ETag"]
    if named != "W/{}":
        seen = seen.strip('"').partition(".")[2]
    assert post(client, rollout, "pause", if_match=named.format(seen)).status_code == 412
