"""Lists stay cheap however long they are; who uses what; the genome as a file."""

import hashlib
from importlib import import_module

import pytest
from django.urls import get_resolver, reverse

from arm import clock
from arm.rights import Right
from registry import queries
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    CardKeySource,
    Dependency,
    DeploymentSlot,
    Genome,
    InstanceStatus,
    Ownership,
    Project,
    RolloutSlot,
    RolloutStep,
    TableImport,
)
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def vera(acme, client):
    """Sees the directory of the whole tenant, and is signed in."""
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY, Right.EXPORT)
    client.force_login(vera)
    return vera


@pytest.fixture
def sixty(acme):
    """Sixty of everything that grows: agents, versions, instances, slots, environments, providers, roles, uses."""
    for number in range(60):
        version = make.approved(template=make.template(f"agent-{number:02}"))
        Dependency.objects.create(tenant=acme, version=version, kind="tool", name=f"tool-{number:02}")
        place, at = make.environment(), make.provider()
        make.instance(version=version, environment=place, provider=at)
        make.slot(environment=place, provider=at)


MANY = 20


@pytest.fixture
def releases(acme, sixty):
    """Twenty of everything else: rollouts with ten steps and slots, rollbacks, handovers, exceptions, assignments,
    evidence, acts, imports, prompts, card keys and projects; and one sweep with what it found."""
    rita = make.user("rita", member_of=acme)
    builds = list(AgentVersion.objects.select_related("template", "genome").order_by("pk")[:MANY])
    slots = list(DeploymentSlot.objects.select_related("environment", "role", "provider").order_by("pk"))
    for number, build in enumerate(builds):
        rollout, *_ = make.releases(slots[number], build, rita)
        for n in range(2, 11):
            RolloutStep.objects.create(tenant=acme, rollout=rollout, number=n)
            RolloutSlot.objects.create(tenant=acme, rollout=rollout, slot=slots[number + n])
        make.role_assignment(version=build, environment=slots[number].environment)
        make.card(build)
        make.bulk(build.template, rita)
        draining = {"environment": slots[number].environment, "provider": slots[number].provider}
        make.instance(version=build, state="draining", **draining)
        make.prompt(f"Be kind, {number} times.")
        CardKeySource.objects.create(tenant=acme, url=f"https://keys.example/{number}.json")
        Project.objects.create(tenant=acme, slug=f"project-{number:02}", name=f"Project {number}")
        TableImport.objects.create(
            tenant=acme, kind="templates", file_name=f"{number}.csv", total=1, done=1, created_by=rita,
            content=b"slug,name\na,A\n", digest=f"sha256:{number:064}", state="checked", plan="c",
        )  # fmt: skip
    make.integrity(builds[0])
    return rita


@pytest.fixture
def alice(acme, client):
    """Sees whatever there is, and is signed in."""
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


def lists():
    """The names of every list page of the registry."""
    pages = get_resolver().namespace_dict["registry"][1].url_patterns
    return [page.name for page in pages if page.name.endswith("_list") and not page.pattern.converters]


SAVEPOINT = (
    2  # the test's own transaction turns the request's BEGIN and COMMIT into two statements that are counted
)


def page(client, name, **query):
    return client.get(reverse(f"registry:{name}"), query)


def test_every_list_of_sixty_asks_the_database_at_most_fifteen_times(
    client, vera, sixty, django_assert_max_num_queries
):
    for name in lists():
        page(client, name)
        with django_assert_max_num_queries(15 + SAVEPOINT):
            assert page(client, name).status_code == 200


def test_nor_does_somebody_ask_more_who_may_see_forty_agents_one_by_one(
    client, acme, sixty, django_assert_max_num_queries
):
    carol = make.user("carol", member_of=acme)
    for agent in AgentTemplate.objects.all()[:40]:
        make.grant(carol, agent, Right.READ_DIRECTORY)
    client.force_login(carol)
    for name in lists():
        page(client, name)
        with django_assert_max_num_queries(15 + SAVEPOINT):
            assert page(client, name).status_code == 200
    assert page(client, "template_list").context["paginator"].count == 40


def test_every_list_with_rows_in_it_asks_at_most_fifteen_times(
    client, alice, releases, django_assert_max_num_queries
):
    few = set()
    for name in lists():
        page(client, name)
        with django_assert_max_num_queries(15 + SAVEPOINT):
            answer = page(client, name)
        assert answer.status_code == 200
        rows = answer.context.get("rows") or answer.context.get("object_list") or ()
        few |= {name} if len(rows) < MANY else set()
    assert few == FEW_PAGES


def nouns():
    return [noun for noun, *_ in import_module("registry.api").router.registry]


FEW = {"sweeps", "findings"}
FEW_PAGES: set[str] = set()


def test_endpoints_of_lists_with_rows_in_them_ask_at_most_fifteen_times_too(
    client, alice, releases, django_assert_max_num_queries
):
    for noun in nouns():
        with django_assert_max_num_queries(15 + SAVEPOINT):
            answer = client.get(f"/api/v1/registry/{noun}/")
        assert answer.status_code == 200, noun
        assert len(answer.json()["results"]) >= (1 if noun in FEW else MANY), noun


def test_who_reads_the_directory_alone_is_refused_no_list_and_finds_nothing_in_these(client, vera, releases):
    answers = {noun: client.get(f"/api/v1/registry/{noun}/") for noun in nouns()}
    assert [noun for noun, answer in answers.items() if answer.status_code != 200] == []
    empty = {noun for noun, answer in answers.items() if not answer.json()["results"]}
    assert empty == {"acts", "card-keys", "evidence"}  # acts: one's own, without the audit stream


def test_versions_are_paged_by_key_to_and_fro_without_counting(client, vera, sixty):
    newest = list(AgentVersion.objects.order_by("-pk"))
    first = page(client, "version_list")
    assert list(first.context["object_list"]) == newest[:50]
    assert (
        first.context["newer"] == "" and "paginator" in first.context and first.context["paginator"] is None
    )
    second = client.get(reverse("registry:version_list") + first.context["older"])
    assert list(second.context["object_list"]) == newest[50:]
    assert second.context["older"] == ""
    back = client.get(reverse("registry:version_list") + second.context["newer"])
    assert list(back.context["object_list"]) == newest[:50] and back.context["newer"] == ""


def test_a_new_version_does_not_shift_the_pages_behind_it(client, vera, sixty):
    older = page(client, "version_list").context["older"]
    before = list(client.get(reverse("registry:version_list") + older).context["object_list"])
    make.version()
    assert list(client.get(reverse("registry:version_list") + older).context["object_list"]) == before


def test_filters_stay_on_while_paging(client, vera, sixty):
    AgentVersion.objects.update(label="nightly")
    make.version(label="by hand")
    older = page(client, "version_list", q="nightly").context["older"]
    assert "q=nightly" in older
    rest = client.get(reverse("registry:version_list") + older).context["object_list"]
    assert {row.label for row in rest} == {"nightly"} and len(rest) == 10


def test_a_cursor_that_is_none_is_not_found(client, vera, sixty):
    assert page(client, "version_list", cursor="nonsense").status_code == 404


def test_versions_are_found_by_agent_and_by_day(client, vera, acme):
    make.version(template=make.template("mail", name="Mail sorter"))
    assert len(page(client, "version_list", q="sorter").context["object_list"]) == 1
    assert len(page(client, "version_list", created_to="2020-01-01").context["object_list"]) == 0
    assert len(page(client, "version_list", created_from="2020-01-01").context["object_list"]) == 1


def test_agents_are_found_by_the_state_of_their_newest_version(client, vera, acme):
    fresh, staged, bare = make.template("fresh"), make.template("staged"), make.template("bare")
    make.approved(template=fresh, number=1)
    make.version(template=fresh, number=2)
    make.version(template=staged, number=1)
    make.approved(template=staged, number=2)

    def found(*states):
        return {row.template for row in page(client, "template_list", newest=list(states)).context["rows"]}

    assert found("draft") == {fresh}
    assert found("approved") == {staged}
    assert found("none") == {bare}
    assert found("approved", "none") == {staged, bare}


def test_the_file_of_agents_names_their_owners_of_now(client, vera, acme, django_assert_max_num_queries):
    agent = make.template("router")
    for name, until in (("olga", None), ("otto", None), ("gone", clock.now())):
        Ownership.objects.create(tenant=acme, template=agent, user=make.user(name), until=until)
    for _ in range(20):
        make.template()
    with django_assert_max_num_queries(18):
        answer = page(client, "template_list", format="csv").content.decode().splitlines()
    line = next(line for line in answer if agent.typeid in line)
    assert "owners" in answer[0] and "olga otto" in line and "gone" not in line


# who uses what


def test_who_uses_a_tool_is_answered_with_versions_and_live_instances(client, vera, acme):
    build = make.approved()
    for version in (build, make.version()):
        Dependency.objects.create(tenant=acme, version=version, kind="tool", name="pay_invoice")
    Dependency.objects.create(tenant=acme, version=build, kind="model", name="openai/gpt-4o")
    make.instance(version=build)
    make.instance(version=build, state="retired")
    answer = page(client, "uses_list")
    assert [row[:4] for row in answer.context["rows"]] == [
        ("Model", "openai/gpt-4o", 1, 1),
        ("Tool", "pay_invoice", 2, 1),
    ]
    assert [row[1] for row in page(client, "uses_list", q="pay").context["rows"]] == ["pay_invoice"]
    assert [row[1] for row in page(client, "uses_list", kind="model").context["rows"]] == ["openai/gpt-4o"]
    assert len(page(client, "version_list", uses="pay_invoice").context["object_list"]) == 2
    assert len(page(client, "instance_list", uses="pay_invoice").context["object_list"]) == 2
    csv = page(client, "uses_list", format="csv").content.decode().splitlines()
    assert csv == ["kind,name,versions", "model,openai/gpt-4o,1", "tool,pay_invoice,2"]


def test_uses_count_what_the_person_may_see_and_nothing_else(client, acme):
    mine, other = make.version(), make.version()
    for version in (mine, other):
        Dependency.objects.create(tenant=acme, version=version, kind="tool", name="search")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, mine.template, Right.READ_DIRECTORY)
    client.force_login(bob)
    assert [row[:4] for row in page(client, "uses_list").context["rows"]] == [("Tool", "search", 1, 0)]


# the genome as a file


def test_the_downloaded_genome_has_the_digest_it_is_named_by(client, vera, acme):
    version = make.version()
    answer = client.get(reverse("registry:version_download", args=[version.typeid]))
    digest = hashlib.sha256(answer.content).hexdigest()
    assert version.genome.digest == f"sha256:{digest}" and digest in answer["Content-Disposition"]


def test_tampered_bytes_are_not_handed_out(client, vera, acme, settings):
    settings.INCIDENTS = "tests.registry.test_versions.Incidents"
    template = make.template()
    held = make.genome(template=template)
    tampered = Genome.objects.create(
        tenant=acme, template=template, digest="sha256:" + "0" * 64, content=bytes(held.content)
    )
    version = make.version(template=template, genome=tampered)
    answer = client.get(reverse("registry:version_download", args=[version.typeid]), follow=True)
    assert "it is not handed out" in answer.content.decode() and "Tampered" in answer.content.decode()


def test_an_instance_that_has_not_started_is_not_called_silent(client, vera, acme):
    row = make.instance(name="fresh", state="provisioning")
    InstanceStatus.objects.filter(instance=row).update(heartbeat_at=None)
    for address in (reverse("registry:instance_list"), AgentInstance.objects.get().get_absolute_url()):
        text = client.get(address).content.decode()
        assert "never seen" not in text and "wanted Provisioning" not in text


def test_live_instances_of_a_place_are_counted_as_far_as_somebody_sees_them_and_only_so_far(
    acme, monkeypatch
):
    place, agent = make.environment("prod"), make.template("router")
    for _ in range(3):
        make.instance(version=make.approved(template=agent), environment=place)
    make.instance(environment=place)
    gone = make.instance(environment=place)
    AgentInstance.objects.filter(pk=gone.pk).update(state="retired")
    vera, carol, mallory = (make.user(name, member_of=acme) for name in ("vera", "carol", "mallory"))
    make.grant(vera, acme, Right.READ_DIRECTORY)
    make.grant(carol, agent, Right.READ_DIRECTORY)
    people = (vera, carol, mallory, make.user("root", is_superuser=True))
    assert [queries.instance_counts([place], who).get(place.pk, 0) for who in people] == [4, 3, 0, 4]
    monkeypatch.setattr("registry.queries.places.LIVE_COUNTED", 2)
    assert [queries.instance_counts([place], who).get(place.pk, 0) for who in people] == [3, 3, 0, 3]
