"""Bad input, one table of cases: each is refused by the service, the API and the page, with a pointer and the right
status, and nothing at all is stored."""

import ast
import csv
import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from arm import listing
from arm.errors import DomainError
from arm.models import ChangeRecord, Tenant, User
from registry import services
from registry.genome.reading import MAX_BYTES
from registry.models import AgentTemplate, AgentVersion, TableImport
from tests import make
from tests.growing import BOUNDED, growth
from tests.registry.genomes import example, model, prompt, tool

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def browser(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@contextmanager
def nothing_stored() -> Iterator[None]:
    """Whatever happens inside: each table has as many rows afterwards as before."""
    before = stored()
    yield
    assert stored() == before


def stored() -> dict[str, int]:
    """How many rows there are of everything in the directory, its changes and the outbox."""
    tables = [m._meta.db_table for m in apps.get_app_config("registry").get_models(include_auto_created=True)]
    tables += [ChangeRecord._meta.db_table, "django_q_ormq"]
    counted = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(counted)
        return dict(cursor.fetchall())


@dataclass(frozen=True)
class Told:
    """How a door has refused: `where` are pointers, `words` all that it said."""

    status: int
    where: set[str]
    words: str


def by_service(call: Callable[[], object]) -> Told:
    with pytest.raises(DomainError) as refused:
        call()
    errors: Any = refused.value.extra.get("errors", ())
    words = " ".join([refused.value.message, *(problem["message"] for problem in errors)])
    return Told(refused.value.status, {problem["pointer"] for problem in errors}, words)


def by_api(answer: Any) -> Told:
    assert answer["Content-Type"] == "application/problem+json", answer.content[:300]
    body = answer.json()
    errors = body.get("errors", [])
    words = " ".join([body["detail"], *(problem["message"] for problem in errors)])
    return Told(answer.status_code, {problem["pointer"] for problem in errors}, words)


def by_page(answer: Any) -> Told:
    text = answer.content.decode()
    assert answer["Content-Type"].startswith("text/html") and "<form" in text
    return Told(answer.status_code, set(), text.replace("&#x27;", "'"))


# --- genomes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """`text` is the file, `value` the same for callers of Python, who hold values that no file can say."""

    text: bytes
    pointer: str
    words: str
    value: dict[str, Any] | None = None
    status: int = 422


def of(**changes: Any) -> dict[str, Any]:
    return example(template=None, **changes)


def written(**changes: Any) -> bytes:
    return json.dumps(of(**changes)).encode()


def valued(pointer: str, words: str, **changes: Any) -> Bad:
    return Bad(written(**changes), pointer, words, of(**changes))


def zipped(size: int) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("genome.json", b" " * size)
    return held.getvalue()


MANY = [{"name": f"t{number}"} for number in range(100_000)]
HUGE = b'{"x_": "' + b"x" * 50_000_000 + b'"}'
GENOMES: dict[str, Bad] = {
    "unknown model role": valued("/models/0/role", "Must be one of primary", models=[model("primry")]),
    "two primaries": valued("/models/1/role", "Exactly one model may be primary", models=[model(), model()]),
    "duplicate tool": valued("/tools/1/name", "Another of these has the same name", tools=[tool(), tool()]),
    "prompt digest without blob": valued("/prompts/0/digest", "not stored", prompts=[prompt(text="elsewhere")]),
    "number beyond 2^53": valued("/x_n", "is not a number that every reader holds exactly", x_n=2**53),
    "duplicate JSON keys": Bad(b'{"schema": "arm.genome/v1", "x_": {"b": 1, "b": 2}}', "/x_/b", "comes twice"),
    "NaN": valued("/x_n", "is not a number that every reader holds exactly", x_n=float("nan")),
    "lone surrogate": valued("/x_t", "half a surrogate pair", x_t="\ud800"),
    "50 MB": Bad(HUGE, "", "at most", None, 413),
    "10^5 tools": Bad(written(tools=MANY), "/tools", "Must have at most 1,000 items", of(tools=MANY)),
    "zip bomb": Bad(zipped(20_000_000), "", "packed (ZIP"),
    "gzip bomb": Bad(gzip.compress(b" " * 20_000_000), "", "packed (gzip)"),
}  # fmt: skip


@pytest.fixture
def kept(acme: Tenant, alice: User) -> AgentTemplate:
    """An agent of a tenant that keeps its prompts itself; that of the example is stored."""
    make.prompt("You answer invoices.")
    services.require_profiles(tenant=acme, profiles=[], prompts_kept=True, actor=alice, reason="auditors")
    return make.template("invoices")


def expect(told: Told, bad: Bad, *pointers: str) -> None:
    assert told.status == bad.status, told
    assert told.where & {bad.pointer, *pointers}, told.where
    assert bad.words in told.words


@pytest.mark.parametrize("case", GENOMES)
def test_the_service_refuses_a_bad_file(case: str, acme: Tenant, alice: User, kept: AgentTemplate) -> None:
    said = {
        "tenant": acme,
        "media_type": "application/json",
        "template": kept,
        "actor": alice,
        "reason": "bad",
    }
    with nothing_stored():
        told = by_service(lambda: services.import_genome(data=GENOMES[case].text, **said))
    expect(told, GENOMES[case])


@pytest.mark.parametrize("case", [name for name, bad in GENOMES.items() if bad.value is not None])
def test_the_service_refuses_a_bad_value(case: str, alice: User, kept: AgentTemplate) -> None:
    draft, said = (
        make.version(template=kept),
        {"genome": GENOMES[case].value, "actor": alice, "reason": "bad"},
    )
    with nothing_stored():
        expect(by_service(lambda: services.create_version(template=kept, **said)), GENOMES[case])
        expect(by_service(lambda: services.save_genome(version=draft, **said)), GENOMES[case])


@pytest.mark.parametrize("case", GENOMES)
def test_the_api_refuses_a_bad_file(case: str, browser: Client, kept: AgentTemplate) -> None:
    bad, url = GENOMES[case], f"{API}imports/genome/?template={kept.typeid}"
    with nothing_stored():
        expect(by_api(browser.post(url, bad.text, content_type="application/json")), bad)
        upload = SimpleUploadedFile("genome.json", bad.text)
        expect(by_api(browser.post(url, {"file": upload})), bad)


@pytest.mark.parametrize("case", [name for name in GENOMES if not name.endswith("bomb")])
def test_the_api_refuses_a_bad_genome_within_a_request(
    case: str, browser: Client, kept: AgentTemplate
) -> None:
    bad = GENOMES[case]
    body = b'{"template": "%s", "reason": "bad", "genome": %s}' % (kept.typeid.encode(), bad.text)
    with nothing_stored():
        answer = browser.post(f"{API}versions/", body, content_type="application/json")
    expect(by_api(answer), bad, f"/genome{bad.pointer}")


@pytest.mark.parametrize("case", GENOMES)
def test_the_page_refuses_a_bad_file_and_keeps_the_form(
    case: str, browser: Client, kept: AgentTemplate
) -> None:
    bad, upload = GENOMES[case], SimpleUploadedFile("genome.json", GENOMES[case].text)
    form = {"kind": "genome", "file": upload, "template": kept.typeid, "reason": "the bad one"}
    with nothing_stored():
        told = by_page(browser.post("/registry/versions/import/", form))
    assert told.status == bad.status
    assert bad.pointer in told.words and bad.words in told.words
    assert "the bad one" in told.words


@pytest.mark.parametrize("case", [name for name in GENOMES if not name.endswith("bomb") and name != "50 MB"])
def test_the_page_refuses_bad_text_and_keeps_it(case: str, browser: Client, kept: AgentTemplate) -> None:
    bad = GENOMES[case]
    form = {"kind": "genome", "text": bad.text.decode(), "template": kept.typeid, "reason": "the bad one"}
    with nothing_stored():
        told = by_page(browser.post("/registry/versions/import/", form))
    assert told.status == bad.status
    assert bad.pointer in told.words and bad.words in told.words
    assert "the bad one" in told.words and "arm.genome/v1" in told.words


def test_50_mb_of_pasted_text_are_refused_by_a_page_that_says_why(
    browser: Client, kept: AgentTemplate
) -> None:
    with nothing_stored():
        answer = browser.post("/registry/versions/import/", {"kind": "genome", "text": HUGE.decode()})
    assert answer.status_code == 413 and "larger than ARM takes here" in answer.content.decode()


# --- how much is looked at -----------------------------------------------------------------------------------


IMPORTS = ("genome", "agent-card", "cyclonedx", "oasf", "mcp-server")


class Endless(io.RawIOBase):
    """The body of a request that says it has 50 MB; how much of it anybody has read is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "somebody wants all of it"
        self.taken += size
        return b" " * size


@pytest.mark.parametrize(
    "noun", ["versions", "bulk/instances", "acts", *(f"imports/{kind}" for kind in IMPORTS)]
)
def test_of_50_mb_no_more_is_read_than_the_limit_and_little_is_held(
    noun: str, browser: Client, kept: AgentTemplate
) -> None:
    body = Endless()
    said: dict[str, Any] = {
        "wsgi.input": body,
        "CONTENT_LENGTH": "50000000",
        "CONTENT_TYPE": "application/json",
    }
    tracemalloc.start()
    try:
        with nothing_stored():
            told = by_api(browser.generic("POST", f"{API}{noun}/", **said))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (told.status, told.where) == (413, {""})
    assert body.taken <= MAX_BYTES + 1
    assert most < 6 * MAX_BYTES


def test_a_hundred_thousand_whole_tools_are_refused_soon(alice: User, kept: AgentTemplate) -> None:
    def sent(size: int) -> None:
        genome = of() | {"tools": [tool() | {"name": f"t{number}"} for number in range(size)]}
        refused = by_service(
            lambda: services.create_version(template=kept, genome=genome, actor=alice, reason="many")
        )
        assert refused.where == {"/tools"}

    assert growth(sent, 100_000) < BOUNDED


@pytest.mark.parametrize("noun", ["versions", "templates", "slots", "bulk/instances", "acts"])
def test_a_packed_body_is_refused_and_never_unpacked(noun: str, browser: Client, kept: AgentTemplate) -> None:
    bomb = gzip.compress(b'{"reason": "' + b" " * 20_000_000 + b'"}')
    with nothing_stored():
        answer = browser.post(
            f"{API}{noun}/", bomb, content_type="application/json", headers={"Content-Encoding": "gzip"}
        )
    told = by_api(answer)
    assert (told.status, told.where) == (422, {""}) and "packed (gzip)" in told.words


# --- lineage -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Descent:
    child: AgentVersion
    parent: AgentVersion
    words: str
    page: str


@pytest.fixture(params=["cycle in lineage", "parent in another tenant"])
def descent(request: pytest.FixtureRequest, acme: Tenant, alice: User) -> Descent:
    """A draft, and a version that it cannot come from."""
    template = make.template("invoices")
    first = make.version(template=template)
    if request.param == "parent in another tenant":
        other = make.version(template=make.template("theirs", tenant=make.tenant("other")))
        return Descent(first, other, "another tenant", "not yours to use")
    middle, last = make.version(template=template), make.version(template=template)
    services.name_parents(version=middle, parents=[first], actor=alice, reason="built on it")
    services.name_parents(version=last, parents=[middle], actor=alice, reason="built on it")
    return Descent(first, last, "cannot come from it", "cannot come from it")


def test_the_service_refuses_a_parent(descent: Descent, alice: User) -> None:
    with nothing_stored():
        told = by_service(
            lambda: services.name_parents(
                version=descent.child, parents=[descent.parent], actor=alice, reason="bad"
            )
        )
    assert (told.status, told.where) == (422, {"/parents/0"}) and descent.words in told.words


def test_the_api_refuses_a_parent(descent: Descent, browser: Client) -> None:
    body = {"parents": [descent.parent.typeid], "reason": "bad"}
    with nothing_stored():
        url = f"{API}versions/{descent.child.typeid}/parents/"
        told = by_api(browser.put(url, body, content_type="application/json"))
    assert (told.status, told.where) == (422, {"/parents/0"}) and descent.page in told.words


def test_the_page_refuses_a_parent_by_the_field(descent: Descent, browser: Client) -> None:
    form = {"parents": descent.parent.typeid, "reason": "bad"}
    with nothing_stored():
        answer = browser.post(f"/registry/versions/{descent.child.typeid}/parents/", form)
    told = by_page(answer)
    assert told.status == 422 and descent.parent.typeid in told.words
    assert descent.page in " ".join(answer.context["form"].errors["parents"])


def test_a_new_version_comes_from_no_other_tenants(acme: Tenant, alice: User, browser: Client) -> None:
    template, theirs = (
        make.template("invoices"),
        make.version(template=make.template(tenant=make.tenant("other"))),
    )
    genome = example(template=template.typeid)
    with nothing_stored():
        told = by_service(
            lambda: services.create_version(
                template=template, genome=genome, parents=[theirs], actor=alice, reason="bad"
            )
        )
        body = {"template": template.typeid, "genome": genome, "parents": [theirs.typeid], "reason": "bad"}
        answer = by_api(browser.post(f"{API}versions/", body, content_type="application/json"))
    assert (told.status, told.where) == (answer.status, answer.where) == (422, {"/parents/0"})


# --- tables --------------------------------------------------------------------------------------------------

TABLES: dict[str, Bad] = {
    "zip bomb": Bad(zipped(20_000_000), "", "packed (ZIP"),
    "gzip bomb": Bad(gzip.compress(b"slug,name\n" * 2_000_000), "", "packed (gzip)"),
    "50 MB": Bad(b"slug,name\n" + b"x" * 50_000_000, "", "at most 20,971,520 are read", None, 413),
    "10^5 rows and one": Bad(b"slug,name\n" + b"a,b\n" * 100_001, "", "more than 100,000 rows", None, 413),
}


@pytest.mark.parametrize("case", TABLES)
def test_service_api_and_page_refuse_a_bad_table(
    case: str, acme: Tenant, alice: User, browser: Client
) -> None:
    bad, kind = TABLES[case], TableImport.Kind.TEMPLATES
    with nothing_stored():
        told = by_service(
            lambda: services.send_table(tenant=acme, kind=kind, file_name="t.csv", data=bad.text, actor=alice)
        )
        form = {"kind": kind, "file": SimpleUploadedFile("t.csv", bad.text)}
        api = by_api(browser.post(f"{API}table-imports/", form))
        form = {"kind": kind, "file": SimpleUploadedFile("t.csv", bad.text)}
        page = by_page(browser.post("/registry/imports/new/", form))
    expect(told, bad)
    expect(api, bad, "/file")
    assert page.status == bad.status and bad.words in page.words


# --- files that leave ----------------------------------------------------------------------------------------

FORMULA = ("=", "+", "-", "@", "\t", "\r")
LURE = '=HYPERLINK("https://evil.example","click")'


def test_a_formula_that_came_in_by_any_door_leaves_every_file_as_text(
    acme: Tenant, alice: User, browser: Client
) -> None:
    services.register_template(tenant=acme, slug="one", name=LURE, tags=["+1"], actor=alice, reason="r")
    body = {"slug": "two", "name": f"\t{LURE}", "cost_center": "@SUM(A1)", "reason": "r"}
    assert browser.post(f"{API}templates/", body, content_type="application/json").status_code == 201
    form = {"slug": "three", "name": "-2+3", "risk": "low", "cost_center": LURE, "reason": "r"}
    assert browser.post("/registry/templates/new/", form).status_code == 302
    table = io.StringIO()
    csv.writer(table).writerows([["slug", "name"], ["four", LURE]])
    sent = services.send_table(
        tenant=acme, kind=TableImport.Kind.TEMPLATES, file_name=f"{LURE}.csv", data=table.getvalue().encode(),
        actor=alice,
    )  # fmt: skip
    services.apply_table(table=sent, actor=alice, reason="r")
    make.approved(template=AgentTemplate.objects.get(slug="one"), label=LURE)
    make.instance(name=LURE, version=AgentVersion.objects.get())
    make.environment("lab", name=LURE)
    make.provider("edge", name="@edge")
    held, lists = set(), 0
    for name, found in listing.listings().items():
        if not found.view.columns:
            continue
        answer = browser.get(f"{found.url}?format=csv&view=all")
        assert answer.status_code == 200, name
        rows = list(csv.reader(io.StringIO(answer.content.decode())))
        held |= {cell for row in rows[1:] for cell in row}
        lists += 1
    held |= {
        cell
        for row in csv.reader(
            io.StringIO(browser.get(f"{sent.get_absolute_url()}report.csv").content.decode())
        )
        for cell in row
    }
    assert not {cell for cell in held if cell.startswith(FORMULA)}
    assert {f"'{LURE}", "'-2+3", "'@SUM(A1)", "'+1", "'@edge", f"'{LURE}.csv"} <= held
    assert lists > 10


def test_there_is_one_writer_of_csv_and_it_escapes() -> None:
    writers = set()
    for app in ("arm", "evidence", "registry", "policy", "telemetry", "evaluation", "costs", "federation"):
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                called = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
                if called in {"csv.writer", "csv.DictWriter"}:
                    writers.add(str(path.relative_to(ROOT)))
    assert writers == {"arm/views/base.py"}
