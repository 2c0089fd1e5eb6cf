"""Who confirms a step of a rollout: where a person's yes is asked, a person, who decides on what she has read."""

from datetime import timedelta

import pytest
from django.urls import reverse

from arm import changes, clock
from arm.errors import Conflict, NotAllowed
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


def confirm(rollout, actor, step=1, after=LATER):
    with clock.at(clock.now() + after):
        return services.confirm_step(rollout=rollout, step=step, actor=actor, reason="read the answers")


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


def post(client, rollout, verb, body=None, **headers):
    headers = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    url = f"{API}{rollout.typeid}/{verb}/"
    said = {"reason": "go", **({"step": 1} if verb == "confirm" else {})} if body is None else body
    return client.post(url, said, content_type="application/json", **headers)


def test_the_api_takes_it_from_a_session_and_from_no_token(client, begun, rita, tenant):
    rollout = begun("manual")
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=rita)
    with clock.at(clock.now() + LATER):
        refused = post(client, rollout, "confirm", authorization=f"Bearer {token}")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed"), refused.json()
        assert "on the rollout's page" in refused.json()["detail"]
        client.force_login(rita)
        assert post(client, rollout, "confirm").json()["steps"][0]["confirmed_by"] == str(rita)


# one yes is for one step


def states(rollout):
    return list(rollout.steps.order_by("number").values_list("state", flat=True))


@pytest.fixture
def baked(rita, old, new):
    """A canary of three steps that bake no time: whoever confirms one could go on to the next at once."""
    slot = bound(make.slot(environment=make.environment("prod")), old, actor=rita)
    more = {"strategy": "canary", "percents": [5, 50, 100], "health_gates": ["manual"], "bake": timedelta()}
    return started(slot, new, rita, **more)


def test_a_yes_is_for_the_step_that_was_looked_at(baked, rita):
    confirm(baked, rita)
    with pytest.raises(
        Conflict, match=r"Step 1 of .* has passed already.* Step 2 is the one that waits"
    ) as refused:
        confirm(baked, rita)
    assert refused.value.extra["step"] == 2
    with pytest.raises(Conflict, match=r"Step 3 of .* has not begun"):
        confirm(baked, rita, step=3)
    assert states(baked) == ["passed", "baking", "waiting"]
    confirm(baked, rita, step=2)
    assert confirm(baked, rita, step=3).state == "completed"
    with pytest.raises(Conflict, match="Completed; no step waits"):
        confirm(baked, rita, step=3)


def test_a_yes_that_comes_after_the_worker_went_on_is_for_no_step(begun, rita):
    rollout = begun("errors")
    with clock.at(clock.now() + LATER):
        assert services.advance_rollout(rollout_id=rollout.pk)
    with pytest.raises(Conflict, match=r"Step 1 of .* has passed already"):
        confirm(rollout, rita, after=2 * LATER)
    assert rollout.steps.get(number=2).confirmed_by == ""


def test_the_api_asks_for_which_step_and_refuses_one_that_waits_no_longer(client, baked, rita):
    client.force_login(rita)
    for body in ({"reason": "go"}, {"reason": "go", "step": 0}, {"reason": "go", "step": "two"}):
        answer = post(client, baked, "confirm", body)
        assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/step", answer.json()
    nothing = post(client, baked, "confirm", {})
    assert {one["pointer"] for one in nothing.json()["errors"]} == {"/reason", "/step"}
    assert states(baked) == ["baking", "waiting", "waiting"]
    assert post(client, baked, "confirm").status_code == 200
    again = post(client, baked, "confirm")
    assert (again.status_code, again.json()["code"], again.json()["step"]) == (409, "conflict", 2)
    assert states(baked) == ["passed", "baking", "waiting"]


def test_a_second_click_on_the_page_confirms_nothing_and_shows_the_step_that_waits_now(client, baked, rita):
    client.force_login(rita)
    address = reverse("registry:rollout_confirm", args=[baked.typeid])
    form = client.get(address)
    assert form.context["form"]["step"].value() == 1 and "Confirm step 1" in form.content.decode()
    said = {"reason": "read the answers", "step": "1"}
    assert client.post(address, said).status_code == 302
    second = client.post(address, said)
    page = second.content.decode()
    assert second.status_code == 409 and "has passed already" in page and "read the answers" in page
    assert "Confirm step 2" in page and second.context["form"]["step"].value() == 2
    assert states(baked) == ["passed", "baking", "waiting"]
    assert client.post(address, said | {"step": "2"}).status_code == 302, "now that it was shown"
    for wrong in ("", "0", "x", "501"):
        answer = client.post(address, said | {"step": wrong})
        assert answer.status_code == 422 and "step" in answer.context["form"].errors, wrong
    assert states(baked) == ["passed", "passed", "baking"]


def test_the_last_steps_page_confirmed_twice_says_that_nothing_waits(client, begun, rita):
    rollout = begun("manual")
    confirm(rollout, rita)
    client.force_login(rita)
    address = reverse("registry:rollout_confirm", args=[rollout.typeid])
    with clock.at(clock.now() + 2 * LATER):
        assert client.post(address, {"reason": "go", "step": "2"}).status_code == 302
        again = client.post(address, {"reason": "go", "step": "2"})
    assert again.status_code == 409 and "no step waits for anybody" in again.content.decode()


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
