"""The directory for machines: what is answered, what is refused and how, and who sees nothing."""

import json

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arm.models import ApiKey, ChangeRecord
from arm.rights import Right
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentTemplate, AgentVersion, Genome, InstanceStatus, Prompt
from tests import make
from tests.registry.genomes import example, sha

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/"


class Caller:
    """A machine with a token: `caller.post("versions/", …)`."""

    def __init__(self, client, token):
        self.client, self.head = client, {"authorization": f"Bearer {token}"}

    def get(self, path):
        return self.client.get(API + path, headers=self.head)

    def send(self, method, path, body):
        ask = getattr(self.client, method)
        return ask(API + path, json.dumps(body), content_type="application/json", headers=self.head)

    def post(self, path, **body):
        return self.send("post", path, {"reason": "because", **body})

    def raw(self, path, data, content_type):
        return self.client.post(API + path, data, content_type=content_type, headers=self.head)


def caller(client, user, tenant):
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=user)
    return Caller(client, token)


@pytest.fixture
def alice(client, tenant):
    """Holds every right in her tenant."""
    user = make.everything(make.user("alice", member_of=tenant), tenant)
    return caller(client, user, tenant)


@pytest.fixture
def mallory(client, tenant):
    """A member without a right."""
    return caller(client, make.user("mallory", member_of=tenant), tenant)


@pytest.fixture
def stranger(client):
    """Holds every right in another tenant."""
    other = make.tenant("other")
    return caller(client, make.everything(make.user("stranger", member_of=other), other), other)


@pytest.fixture
def template(tenant):
    return make.template("invoices", name="Invoices", tenant=tenant)


def genome(template, **changes):
    return example(template=template.typeid, **changes)


def pointers(answer):
    assert answer["Content-Type"] == "application/problem+json"
    return {problem["pointer"] for problem in answer.json()["errors"]}


# templates


def test_an_agent_is_registered_described_and_found(alice, tenant):
    answer = alice.post("templates/", slug="mail", name="Mail", tags=["ops"], risk="high")
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert made["owners"] == ["alice"] and made["risk"] == "high" and answer["Location"] == made["url"]
    assert alice.client.get(made["url"], headers=alice.head).json() == made
    changed = alice.send(
        "patch", f"templates/{made['id']}/", {"description": "Sorts.", "reason": "clearer"}
    ).json()
    assert changed["description"] == "Sorts."
    assert [row["slug"] for row in alice.get("templates/?q=mail").json()["results"]] == ["mail"]
    bob = make.user("bob", member_of=tenant)
    owned = alice.post(f"templates/{made['id']}/owners/", owners=[bob.username])
    assert owned.json()["owners"] == ["bob"]


def test_a_taken_slug_is_answered_409_with_what_is_there(alice, template):
    answer = alice.post("templates/", slug="invoices", name="Other")
    assert answer.status_code == 409
    body = answer.json()
    assert (body["code"], body["id"], body["existing"]["name"]) == ("duplicate", template.typeid, "Invoices")


def test_every_wrong_member_of_a_request_is_named(alice, template):
    assert pointers(alice.post("templates/", slug="x", name="X", colour=1, size=2)) == {"/colour", "/size"}
    assert pointers(alice.send("post", "templates/", {"slug": "no spaces!", "risk": "huge"})) == {
        "/slug",
        "/risk",
        "/name",
        "/reason",
    }
    assert pointers(alice.post("templates/", slug="x", name="X", owners=["alice", "nobody"])) == {"/owners/1"}


# versions


def test_a_version_is_created_moved_and_read_back_byte_for_byte(alice, template):
    answer = alice.post("versions/", template=template.typeid, genome=genome(template), label="1.0")
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert (made["state"], made["number"], made["genome"]["complete"]) == ("draft", 1, True)

    bytes_ = alice.get(f"versions/{made['id']}/genome/")
    assert (
        bytes_["ETag"] == f'"{made["genome"]["digest"]}"'
        and sha(bytes_.content.decode()) == made["genome"]["digest"]
    )
    assert alice.get(f"genomes/{made['genome']['id']}/content/").content == bytes_.content

    steps = alice.get(f"versions/{made['id']}/steps/").json()
    assert [(step["to"], step["ready"]) for step in steps] == [("testing", True), ("retired", True)]
    moved = alice.post(f"versions/{made['id']}/move/", to="testing")
    assert moved.json()["state"] == "testing"
    assert ChangeRecord.objects.get(verb="registry.version.moved").credential.startswith("key_")


def test_the_same_genome_again_is_409_with_the_version_that_is_there(alice, template):
    first = alice.post("versions/", template=template.typeid, genome=genome(template)).json()
    again = alice.post("versions/", template=template.typeid, genome=genome(template), label="again")
    assert again.status_code == 409 and again.json()["existing"] == first


def test_a_refused_move_names_everything_that_is_missing(alice, template):
    draft = alice.post("versions/", template=template.typeid, genome=genome(template, models=None)).json()
    answer = alice.post(f"versions/{draft['id']}/move/", to="testing")
    assert (answer.status_code, answer.json()["code"]) == (409, "gate_refused")
    assert answer.json()["gates"] == [
        {
            "gate": "genome complete",
            "passed": False,
            "reason": "The genome lacks models.",
            "mend": f"/registry/versions/{draft['id']}/genome/",
            "right": "version_create",
            "applies": True,
            "warning": False,
        }
    ]


def test_an_endpoint_answers_with_and_without_the_slash_at_its_end(alice, template):
    draft = alice.post("versions/", template=template.typeid, genome=genome(template)).json()
    assert alice.get("templates").json() == alice.get("templates/").json()
    moved = alice.post(f"versions/{draft['id']}/move", to="testing")
    assert (moved.status_code, moved.json()["state"]) == (200, "testing")
    assert alice.get("nowhere").status_code == 404


def test_a_draft_takes_another_genome_and_the_difference_is_told(alice, template):
    first = alice.post("versions/", template=template.typeid, genome=genome(template)).json()
    draft = alice.post(
        "versions/", template=template.typeid, genome=genome(template, models=None), parents=[first["id"]]
    ).json()
    saved = alice.send(
        "put", f"versions/{draft['id']}/genome/", {"genome": genome(template, tools=[]), "reason": "done"}
    )
    assert saved.json()["genome"]["complete"] and saved.json()["parents"] == [first["id"]]
    words = [change["words"] for change in alice.get(f"versions/{draft['id']}/diff/").json()]
    assert words == ["Tool pay_invoice removed", "Tool search removed"]
    assert alice.get(f"versions/{draft['id']}/diff/?with={draft['id']}").json() == []
    assert pointers(alice.get(f"versions/{draft['id']}/diff/?with=nonsense")) == {"/with"}


def test_a_tampered_genome_is_not_handed_out(alice, template, settings):
    settings.INCIDENTS = "tests.registry.test_versions.Incidents"
    held = Genome.objects.create(
        tenant=template.tenant, template=template, digest=sha("what it was"), content=b'{"what": "it is"}'
    )
    version = make.version(template=template, genome=held)
    answer = alice.get(f"versions/{version.typeid}/genome/")
    assert (answer.status_code, answer.json()["code"], answer.json()["digest"]) == (
        409,
        "tampered",
        held.digest,
    )


# imports


def test_a_genome_is_imported_from_a_body_or_a_form(alice, tenant, template):
    body = yaml.safe_dump(genome(template)).encode()
    made = alice.raw("imports/genome/?label=1.0", body, "application/yaml")
    assert made.status_code == 201, made.json()
    assert made.json()["version"]["label"] == "1.0" and not made.json()["new_template"]
    assert made["Location"] == made.json()["version"]["url"]

    upload = SimpleUploadedFile("other.yml", yaml.safe_dump(example(template=None, tools=None)).encode())
    form = alice.client.post(API + "imports/genome/", {"file": upload, "name": "Mail"}, headers=alice.head)
    assert form.status_code == 201, form.json()
    assert form.json()["new_template"] and form.json()["notes"] == [
        "Still missing before it can be tested: tools."
    ]


def test_an_import_that_is_there_already_leads_to_it(alice, template):
    body = json.dumps(genome(template))
    first = alice.raw("imports/genome/", body, "application/json").json()
    again = alice.raw("imports/genome/", body, "application/json")
    assert again.status_code == 409 and again.json()["existing"] == first["version"]


def test_a_wrong_import_is_refused_with_its_pointers(alice, template):
    cases = [
        ("imports/genome/", b"a: &x 1\nb: *x", "application/yaml", {"/a"}),
        ("imports/genome/", b"{}", "text/html", {""}),
        ("imports/genome/", b"{}", "application/json", {"/name"}),
        ("imports/genome/?colour=1", b"{}", "application/json", {"/colour"}),
        ("imports/genome/?template=tpl_nonsense", b"{}", "application/json", {"/template"}),
        ("imports/agent-card/", b'{"name": 1, "skills": {}}', "application/json", {"/name", "/skills"}),
    ]
    for path, body, kind, expected in cases:
        answer = alice.raw(path, body, kind)
        assert answer.status_code == 422 and pointers(answer) == expected, path
    assert not AgentVersion.objects.exists()
    form = alice.client.post(API + "imports/genome/", {"name": "Mail"}, headers=alice.head)
    assert pointers(form) == {"/file"}


def test_an_agent_card_is_imported(alice, tenant):
    card = {"name": "Router", "version": "3", "skills": [{"id": "r", "name": "Route", "tags": []}]}
    answer = alice.raw("imports/agent-card/", json.dumps(card), "application/json")
    assert answer.status_code == 201
    assert answer.json()["version"]["genome"]["missing"] == ["models", "prompts", "tools", "provenance"]


# instances and slots


@pytest.fixture
def places(tenant):
    return make.environment("prod", name="Production"), make.provider("local"), make.role("clerk")


def test_an_instance_is_provisioned_activated_stopped_and_released(alice, places):
    version = make.approved()
    answer = alice.post(
        "instances/",
        version=version.typeid,
        environment="prod",
        provider="local",
        name="one",
        labels={"a": "b"},
    )
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert made["desired"]["state"] == "provisioning" and not any(made["desired"]["allows"].values())

    refused = alice.post(f"instances/{made['id']}/move/", to="active")
    assert [gate["gate"] for gate in refused.json()["gates"]] == ["telemetry linked"]
    InstanceStatus.objects.update(telemetry_at="2026-01-01T00:00:00Z")
    assert alice.post(f"instances/{made['id']}/move/", to="active").json()["desired"]["allows"]["red"]

    stopped = alice.post(f"instances/{made['id']}/move/", to="read_only").json()
    assert stopped["desired"]["generation"] == 3
    assert stopped["desired"]["allows"] == {
        "new_work": True,
        "continue_work": True,
        "green": True,
        "yellow": False,
        "red": False,
    }


def test_a_release_that_needs_another_person_says_how_many(alice, places, tenant):
    make.user("bob", member_of=tenant)
    instance = make.instance(state=InstanceState.ACTIVE)
    alice.post(f"instances/{instance.typeid}/move/", to="quarantined")
    answer = alice.post(f"instances/{instance.typeid}/move/", to="active")
    assert (answer.status_code, answer.json()["code"], answer.json()["needs"]) == (409, "approval_needed", 2)


def test_what_a_request_names_must_exist_and_be_mine_to_see(alice, stranger, places):
    theirs = make.approved(template=make.template(tenant=make.tenant("third")))
    answer = alice.post("instances/", version=theirs.typeid, environment="moon", provider="local", name="one")
    assert answer.status_code == 422 and pointers(answer) == {"/version", "/environment"}


def test_a_slot_is_opened_bound_and_rebound(alice, places):
    nowhere = alice.post("slots/", environment="moon", role="ghost", provider="none")
    assert [error["pointer"] for error in nowhere.json()["errors"]] == ["/environment", "/role", "/provider"]
    slot = alice.post("slots/", environment="prod", role="clerk", provider="local").json()
    first, second = make.approved(), make.approved()
    for version in (first, second):
        bound = alice.post(f"slots/{slot['id']}/bind/", version=version.typeid)
        assert bound.status_code == 200, bound.json()
    assert (bound.json()["current_version"], bound.json()["previous_version"]) == (
        second.typeid,
        first.typeid,
    )
    refused = alice.post(f"slots/{slot['id']}/bind/", version=make.version().typeid)
    assert refused.json()["code"] == "gate_refused"
    again = alice.post(f"slots/{slot['id']}/bind/", version=second.typeid)
    assert again.status_code == 409 and again.json()["existing"] | {"instances_left": 0} == bound.json()


def test_places_and_roles_are_made_once(alice, tenant):
    for noun, body in (
        ("environments", {"slug": "qa", "name": "QA", "risk_default": "low"}),
        ("providers", {"slug": "east", "name": "East", "kind": "federated"}),
        ("roles", {"slug": "clerk", "name": "Clerk", "risk": "high", "tier": 3}),
    ):
        made = alice.post(f"{noun}/", **body)
        assert made.status_code == 201, made.json()
        again = alice.post(f"{noun}/", **body)
        assert again.status_code == 409 and again.json()["existing"] == made.json()


def test_a_prompt_is_kept_once_and_read_with_its_own_right(alice, client, tenant):
    made = alice.post("prompts/", content=" Be kind.\n")
    assert made.json()["digest"] == sha(" Be kind.\n")
    assert alice.post("prompts/", content=" Be kind.\n").json()["existing"] == made.json()
    assert alice.get(f"prompts/{made.json()['id']}/content/").content == b" Be kind.\n"
    reader = make.user("reader", member_of=tenant)
    make.grant(reader, tenant, Right.READ_DIRECTORY)
    asked = caller(client, reader, tenant)
    assert asked.get("prompts/").json()["results"][0]["digest"] == made.json()["digest"]
    assert asked.get(f"prompts/{made.json()['id']}/content/").status_code == 403
    assert Prompt.objects.count() == 1


# heartbeats


def test_an_instance_reports_itself_and_hears_what_it_should_be(client, tenant):
    instance = make.instance(state=InstanceState.PAUSED)
    me = Caller(client, make.workload_token(instance))
    answer = me.send("post", "heartbeat/", {"state": "active", "generation": 1})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["desired"]["state"] == "paused" and answer.json()["next_within_s"] == 60
    assert InstanceStatus.objects.get().state == "active"


def test_a_heartbeat_needs_the_instances_own_live_token(client, tenant, alice):
    instance = make.instance()
    token = make.workload_token(instance)
    for wrong in ("armw_nonsense", make.ingest_token(instance.environment, instance.provider), "x"):
        assert Caller(client, wrong).send("post", "heartbeat/", {}).status_code == 401
    assert alice.send("post", "heartbeat/", {}).status_code == 401
    ApiKey.objects.filter(kind=ApiKey.Kind.WORKLOAD).update(revoked_at="2026-01-01T00:00:00Z")
    assert Caller(client, token).send("post", "heartbeat/", {}).status_code == 401
    assert InstanceStatus.objects.get().heartbeat_at is None


def test_a_provider_reports_for_its_instances_only(client, tenant, alice):
    mine, other = make.instance(), make.instance()
    service = make.user("east", member_of=tenant)
    make.grant(service, mine.provider, Right.READ_DIRECTORY, Right.SEND_TELEMETRY)
    east = caller(client, service, tenant)
    assert east.send("post", f"instances/{mine.typeid}/heartbeat/", {"state": "active"}).status_code == 200
    assert east.send("post", f"instances/{other.typeid}/heartbeat/", {}).status_code == 404


# who sees what


def test_without_a_right_there_is_nothing_and_nothing_can_be_made(mallory, template):
    for noun in (
        "templates",
        "versions",
        "genomes",
        "prompts",
        "instances",
        "slots",
        "environments",
        "providers",
    ):
        answer = mallory.get(f"{noun}/")
        assert answer.status_code == 200 and answer.json()["results"] == []
    assert mallory.get(f"templates/{template.typeid}/").status_code == 404
    assert mallory.post("templates/", slug="x", name="X").status_code == 403
    assert mallory.post("environments/", slug="x", name="X").status_code == 403
    assert mallory.raw("imports/genome/?name=X", b"{}", "application/json").status_code == 403
    assert AgentTemplate.objects.count() == 1


def test_a_stranger_of_another_tenant_finds_none_of_it_by_list_or_identifier(stranger, alice, template):
    rows = make.one_of_each(template.tenant)
    for prefix, noun in (
        ("tpl", "templates"),
        ("ver", "versions"),
        ("gen", "genomes"),
        ("ins", "instances"),
        ("slt", "slots"),
        ("env", "environments"),
        ("prov", "providers"),
    ):
        assert stranger.get(f"{noun}/").json()["results"] == []
        assert stranger.get(f"{noun}/{rows[prefix].typeid}/").status_code == 404
        assert alice.get(f"{noun}/{rows[prefix].typeid}/").status_code == 200
    for path in (f"versions/{rows['ver'].typeid}/move/", f"instances/{rows['ins'].typeid}/move/"):
        assert stranger.send("post", path, {"to": "nonsense"}).status_code == 404
    answer = stranger.post("versions/", template=template.typeid, genome=genome(template))
    assert pointers(answer) == {"/template"}


def test_without_a_token_there_is_no_answer(client, template):
    answer = client.get(API + "templates/")
    assert answer.status_code == 401 and answer.json()["code"] == "not_authenticated"


def test_lists_go_on_by_cursor(alice, tenant):
    for number in range(7):
        make.template(f"agent-{number:02}")
    seen, url = [], API + "templates/?page_size=3"
    while url:
        page = alice.client.get(url, headers=alice.head).json()
        seen += [row["slug"] for row in page["results"]]
        url = page["next"]
    assert sorted(seen) == [f"agent-{number:02}" for number in range(7)]


@pytest.mark.parametrize("damaged", ["'", "=", "%", "[]", "%00", "cD0x", "bz0w", "p=1", "cD0wMTlm'"])
def test_a_damaged_cursor_is_refused_and_not_the_first_page_again(damaged, alice, template):
    answer = alice.client.get(f"{API}templates/", {"cursor": damaged}, headers=alice.head)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("noun", "limit"),
    [
        ("templates", 4),
        ("versions", 4),
        ("instances", 4),
        ("slots", 4),
        ("environments", 2),
        ("providers", 2),
        ("genomes", 2),
    ],
)
def test_a_list_asks_the_directory_the_same_few_questions_however_long_it_is(noun, limit, alice, tenant):
    def questions():
        """Statements about grants and rows; the walls around every request (settings, savepoints) are apart."""
        with CaptureQueriesContext(connection) as asked:
            answer = alice.get(f"{noun}/")
        assert answer.status_code == 200
        about = [q["sql"] for q in asked if '"registry_' in q["sql"] or "grant" in q["sql"]]
        return len(about), len(answer.json()["results"])

    def grow(rows):
        for _ in range(rows):
            version = make.version(template=make.template(), state=VersionState.APPROVED)
            make.instance(version=version)
            make.slot(current_version=version)

    grow(2)
    few, _ = questions()
    grow(20)
    many, rows = questions()
    assert many == few <= limit and rows >= 20


@pytest.mark.parametrize("size", ["0", "201", "-1", "ten", "1e1", "9" * 5000, "٣"])
def test_a_page_size_that_cannot_be_is_refused(size, alice):
    answer = alice.get(f"templates/?page_size={size}")
    assert answer.status_code == 422 and pointers(answer) == {"/page_size"}


def test_a_filter_without_a_value_is_no_filter(alice, template):
    make.instance(version=make.approved(template=template))
    for path in ("instances/?environment=&provider=&state=&template=", "templates/?q=&tag=&risk="):
        assert len(alice.get(path).json()["results"]) == 1, path


def test_the_openapi_document_knows_every_verb_and_every_refusal(alice, client):
    paths = client.get("/api/schema", headers={"accept": "application/json", **alice.head}).json()["paths"]
    ours = {path: verbs for path, verbs in paths.items() if path.startswith(API)}
    assert {
        f"{API}versions/{{id}}/move/",
        f"{API}slots/{{id}}/bind/",
        f"{API}imports/agent-card/",
    } <= ours.keys()
    for path, verbs in ours.items():
        for method, operation in verbs.items():
            assert "application/problem+json" in operation["responses"]["default"]["content"], (path, method)
