"""The lane says and stores what the view would, for adapters with which all is well; whatever else comes, the view answers."""

import gzip
import io
import json
import threading
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections
from django.forms.models import model_to_dict

from arm import clock, db
from arm.lanes import compose
from arm.models import SecurityEvent
from federation.models import AccessToken, AdapterSession, InstanceReport
from federation.services import quiet, revoke_client
from registry.lifecycle import InstanceState
from registry.models import InstanceStatus
from registry.services import move_instance
from tests import make

from .provider import Adapter, federated

pytestmark = pytest.mark.usefixtures("committed")
NULL = "fse_00000000000000000000000000"


class Said:
    """An answer, and whether it was the view's."""

    def __init__(self, status: str, headers: list[tuple[str, str]], content: bytes, viewed: bool) -> None:
        self.status_code, self.headers = int(status[:3]), dict(headers)
        self.content, self.viewed = content, viewed

    def json(self):
        return json.loads(self.content)


class Mounted:
    """In place of Django's test client: the application as a process serves it, with its lanes or without."""

    def __init__(self, lanes: bool) -> None:
        self.viewed = False
        served = get_wsgi_application()

        def django(environ, start_response):
            self.viewed = True
            return served(environ, start_response)

        self.application = compose(django, settings.LANES if lanes else {})

    def generic(self, method, path, data, *, content_type, headers) -> Said:
        got = []
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "CONTENT_LENGTH": str(len(data)),
            "CONTENT_TYPE": content_type,
            "wsgi.input": io.BytesIO(data),
            "wsgi.url_scheme": "http",
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        }
        self.viewed = False
        chunks = self.application(environ, lambda status, fields, info=None: got.append((status, fields)))
        content = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
        return Said(*got[0], content, self.viewed)


def mounted(lanes: bool = True) -> Adapter:
    """An adapter with one instance of ours and one of its own, both known to ARM."""
    tenant = make.tenant()
    persons = make.user(member_of=tenant), make.user(member_of=tenant)
    made = Adapter(federated(tenant=tenant), *(make.everything(one, tenant) for one in persons)).connected()
    one = make.instance(provider=made.provider, version=make.approved(template=make.template(tenant=tenant)))
    made.runs(one)
    made.fleet["shadow-1"] = ("v9", "Active", 3)
    made.http = Mounted(lanes)
    items = [{k: v for k, v in row.items() if k != "id" or v != "shadow-1"} for row in made.items()]
    assert made.inventory(items).status_code == 200
    made.instance = one
    return made


@pytest.fixture
def cloud():
    return mounted()


def rows(cloud):
    """What a heartbeat or poll writes, without identifiers."""
    session = model_to_dict(AdapterSession.objects.get(client=cloud.client), exclude=["client", "tenant"])
    reports = InstanceReport.objects.filter(provider=cloud.provider).order_by("pk")
    statuses = InstanceStatus.objects.filter(instance__provider=cloud.provider)
    told = session | {"opened_at": None, "adapter_uid": None, "said_digest": session["said_digest"][:7]}
    return (
        told,
        list(reports.values_list("state", "confirmed_at")),
        list(statuses.values_list("heartbeat_at")),
    )


def test_the_lane_answers_byte_for_byte_as_the_view_and_leaves_the_same_rows():
    """Two adapters in the same state, the same messages at the same moments, one with lanes and one without."""
    by_lane, by_view = mounted(), mounted(lanes=False)
    began = clock.now()
    AdapterSession.objects.update(opened_at=began)
    told = {"message": "naïve", "status": "degraded"}
    steps = [
        lambda cloud: cloud.heartbeat(rtt_ms=30),
        lambda cloud: cloud.poll(),
        lambda cloud: cloud.heartbeat(health=told),
        lambda cloud: cloud.poll(maxEvents=0),
        lambda cloud: cloud.heartbeat(sent_at="2001-01-01T00:00:00.000Z"),
    ]
    for step, seconds in zip(steps, (20, 25, 40, 45, 130), strict=True):
        with clock.at(began + timedelta(seconds=seconds)):
            mine, theirs = step(by_lane), step(by_view)
        assert (mine.viewed, theirs.viewed) == (False, True)
        assert (mine.status_code, mine.content) == (theirs.status_code, theirs.content)
        for name in ("Content-Type", "Content-Length", "Cache-Control", "Retry-After"):
            assert mine.headers.get(name) == theirs.headers.get(name), name
        assert mine.headers["X-Request-ID"].startswith("req_")
        assert rows(by_lane) == rows(by_view)
    assert rows(by_lane)[0]["seq"] == 3 and mine.json()["late"] is True


def test_a_command_that_was_handed_out_asks_for_a_poll_and_what_waits_comes_by_the_view(cloud):
    assert not cloud.poll().viewed
    move_instance(instance=cloud.instance, to=InstanceState.QUARANTINED, actor=cloud.approver, reason="Odd.")
    beat = cloud.heartbeat()
    assert (beat.viewed, beat.json()["flags"], beat.json()["pending"]) == (False, ["poll_now"], 1)
    came = cloud.poll()
    assert came.viewed and len(came.json()["sets"]) == 1
    again = cloud.poll()  # under its lease
    assert (again.viewed, again.json()["sets"]) == (False, {})
    acked = cloud.poll(*came.json()["sets"])
    assert acked.viewed and acked.status_code == 200
    assert cloud.heartbeat().json()["pending"] == 0


def changed(cloud):
    cloud.runs(cloud.instance, "Active", 2)
    return cloud.heartbeat(cloud.instance)


def stranger(cloud):
    cloud.session = mounted().session
    return cloud.heartbeat()


def narrow(cloud):
    cloud.http, lane = Adapter(cloud.provider, None, None).http, cloud.http
    cloud.token = cloud.ask_token(scope="inventory:write").json()["access_token"]
    cloud.http = lane
    return cloud.heartbeat()


def late_token(cloud):
    assert not cloud.heartbeat().viewed
    with clock.at(clock.now() + timedelta(minutes=11)):
        return cloud.heartbeat()


def packed(cloud):
    return cloud._send("POST", "/federation/v1/poll", gzip.compress(b"{}"), **{"Content-Encoding": "gzip"})


def named(cloud, session):
    cloud.session = session
    return cloud.poll()


OTHERS = {
    "news of an instance": (changed, 200, None),
    "a digest that is not ours": (lambda c: c.fleet.pop("shadow-1") and c.heartbeat(), 200, None),
    "a gap": (lambda c: c.heartbeat() and c.heartbeat(seq=9), 200, None),
    "a duplicate": (lambda c: c.heartbeat() and c.heartbeat(seq=1), 200, None),
    "another epoch": (lambda c: c.heartbeat(epoch=c.epoch + 1), 409, "stale-session"),
    "a session of somebody else": (stranger, 404, "not_found"),
    "a session that never was": (lambda c: named(c, NULL), 404, "not_found"),
    "no session": (lambda c: named(c, ""), 409, "stale-session"),
    "a session of another kind": (lambda c: named(c, c.instance.typeid), 404, "not_found"),
    "no JSON": (lambda c: c._send("POST", "/federation/v1/poll", b"{"), 400, "malformed"),
    "a member twice": (
        lambda c: c._send("POST", "/federation/v1/poll", b'{"ack":[],"ack":[]}'),
        400,
        "malformed",
    ),
    "a wrong member": (lambda c: c.heartbeat(health={"status": "splendid"}), 422, "invalid"),
    "a date that is none": (lambda c: c.poll(maxEvents=-1), 422, "invalid"),
    "a packed body": (packed, 200, None),
    "a large body": (
        lambda c: c._send("POST", "/federation/v1/poll", b"{}" + b" " * 20_000),
        200,
        None,
    ),
    "an acknowledgement": (lambda c: c.poll("set_of_nobody"), 200, None),
    "a slash too many": (lambda c: c._send("POST", "/federation/v1/poll/", b"{}"), 404, None),
    "another method": (lambda c: c.get("/federation/v1/poll"), 405, "method_not_allowed"),
    "no token of ours": (lambda c: c._send("POST", "/federation/v1/poll", b"{}", bearer="arma_x"), 401, None),
    "a token of less scope": (narrow, 403, "insufficient-scope"),
    "a token that has ended": (late_token, 401, None),
}


@pytest.mark.parametrize("case", OTHERS)
def test_whatever_is_out_of_the_ordinary_the_view_answers(cloud, case):
    ask, status, code = OTHERS[case]
    answer = ask(cloud)
    assert (answer.viewed, answer.status_code) == (True, status), answer.content
    if code:
        assert answer.json()["code"] == code


def test_a_revoked_client_is_refused_at_once_by_a_process_that_remembers_its_token(cloud):
    assert not cloud.heartbeat().viewed and not cloud.poll().viewed
    revoke_client(client=cloud.client, actor=cloud.approver, reason="It was stolen.")
    before = rows(cloud)
    assert [cloud.heartbeat().status_code, cloud.poll().status_code] == [401, 401]
    assert rows(cloud) == before


def test_a_token_that_was_revoked_alone_opens_nothing(cloud):
    assert not cloud.poll().viewed
    AccessToken.objects.update(revoked_at=clock.now())
    assert [cloud.heartbeat().status_code, cloud.poll().status_code] == [401, 401]


def test_the_next_handshake_fences_the_session_that_the_lane_knew(cloud):
    assert not cloud.heartbeat().viewed
    old = cloud.session, cloud.epoch, cloud.beat
    assert cloud.handshake().status_code == 201
    assert not cloud.heartbeat().viewed  # the new one: its inventory is ARM's, so nothing is asked
    cloud.session, cloud.epoch, cloud.beat = old
    for answer in (cloud.heartbeat(), cloud.poll()):
        assert (answer.status_code, answer.json()["code"]) == (409, "stale-session")


def test_two_equal_heartbeats_at_once_count_once(cloud):
    assert not cloud.heartbeat().viewed
    together, answers = threading.Barrier(4), []
    cloud.beat = 1

    def send():
        mine = Mounted(lanes=True)
        twin = Adapter(cloud.provider, None, None)
        twin.http, twin.token, twin.session, twin.epoch = mine, cloud.token, cloud.session, cloud.epoch
        twin.fleet, twin.beat = cloud.fleet, 1
        together.wait(10)
        try:
            answers.append(twin.heartbeat().status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    assert AdapterSession.objects.get(client=cloud.client).seq == 2


def test_of_two_that_saw_the_same_number_the_second_writes_nothing(cloud, monkeypatch):
    """Another process takes the number between the lane's look and its word."""
    assert not cloud.heartbeat().viewed
    rows_of = quiet.CONFIRM.rows

    def overtaken(raw, values):
        thread = threading.Thread(target=overtake)
        thread.start()
        thread.join()
        return rows_of(raw, values)

    def overtake():
        try:
            with db.tenants([cloud.provider.tenant_id]):
                AdapterSession.objects.filter(client=cloud.client).update(seq=2)
        finally:
            connections.close_all()

    monkeypatch.setattr(quiet.CONFIRM, "rows", overtaken)
    before = rows(cloud)
    answer = cloud.heartbeat()
    assert (answer.viewed, answer.status_code) == (True, 200)
    assert rows(cloud)[1:] == before[1:] and rows(cloud)[0]["heartbeat_at"] == before[0]["heartbeat_at"]


def test_a_connection_that_was_lost_is_made_anew(cloud):
    assert not cloud.heartbeat().viewed
    own = connections.create_connection("default")
    own.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with own.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    own.close()
    assert [cloud.heartbeat().status_code, cloud.poll().status_code] == [200, 200]
    make.in_sight_of([cloud.provider.tenant])


def test_refusals_of_proofs_and_keys_stay_the_views_and_on_record(cloud):
    assert not cloud.heartbeat().viewed
    assert cloud.handshake(attest_kid="another").json()["code"] == "attest-key-unknown"
    assert SecurityEvent.objects.latest("pk").detail["code"] == "attest-key-unknown"
    assert not cloud.heartbeat().viewed


def test_what_is_remembered_of_tokens_is_bounded(cloud, monkeypatch):
    monkeypatch.setattr(quiet, "REMEMBERED", 1)
    other = mounted()
    for one in (cloud, other, cloud):
        assert not one.poll().viewed
        assert len(quiet._bearers) == 1
