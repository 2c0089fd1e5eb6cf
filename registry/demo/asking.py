"""What the demo's people do in the directory: views that they keep, an act on many rows, a table, helpers of helpers."""

import json
from datetime import timedelta
from typing import Any, Final

from django.db.models import F

from arm import db
from arm import services as core
from arm.demo import Demo
from arm.rights import Risk
from registry import services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, AgentTemplate, AgentVersion, TableImport

VIEWS = (
    (
        "dan",
        "registry:instance_list",
        "Silent in production",
        "environment=prod&heartbeat=late&heartbeat=never",
        True,
    ),
    ("grace", "registry:version_list", "Runs without a card", "production=true&card=missing", True),
    ("carol", "registry:version_list", "Waits for approval", "state=candidate", True),
    ("alice", "registry:template_list", "My drafts", "newest=draft&owner=alice", False),
)
"""Whose, of which list, name, question, shared."""


def ask(demo: Demo) -> None:
    """People keep the questions that they ask every day, and tag many agents at once."""
    made = {
        name: core.save_view(
            tenant=demo.tenant,
            list_name=listed,
            name=name,
            query=query,
            shared=shared,
            actor=demo.people[who],
        )
        for who, listed, name, query, shared in VIEWS
    }
    core.set_default_view(view=made["My drafts"], actor=demo.people["alice"])
    risky = AgentTemplate.objects.filter(risk__in=[Risk.HIGH, Risk.CRITICAL]).order_by("pk")
    agents = risky[:10] or AgentTemplate.objects.order_by("pk")[:3]
    run = services.preview_bulk(
        tenant=demo.tenant,
        action="add_tag",
        targets=[agent.pk for agent in agents],
        params={"tag": "four-eyes"},
        actor=demo.people["alice"],
    )
    services.apply_bulk(
        run=run, actor=demo.people["alice"], reason="Payments take two people; marked for the audit."
    )


def preview_a_large_act(demo: Demo) -> None:
    """Carol has asked what it would do to deprecate every first version, and has not done it: whoever opens it sees each row."""
    first = AgentVersion.objects.filter(tenant=demo.tenant, number=1).order_by("pk")
    services.preview_bulk(
        tenant=demo.tenant,
        action="deprecate",
        targets=[version.pk for version in first],
        params={},
        actor=demo.people["carol"],
    )


HELPERS = (3, 2)
"""How many helpers the first instances that may start others have started."""


def start_helpers(demo: Demo) -> None:
    """Some instances have started helpers of their own kind, as far as their genomes allow. Those without a role come
    first: a role asks what takes it for a verified Agent Card, which may still be on its way to the signer."""
    active = AgentInstance.objects.filter(state=InstanceState.ACTIVE, environment__production=True)
    active = active.exclude(template__risk__in=[Risk.HIGH, Risk.CRITICAL])
    in_order = active.select_related("version__template").order_by(F("role").asc(nulls_first=True), "pk")
    for parent, count in zip(in_order, HELPERS, strict=False):
        for number in range(1, count + 1):
            _start(demo, parent, number, timedelta(hours=6))


def start_helpers_of_helpers(demo: Demo) -> None:
    """The first helper of each, of which was heard meanwhile, is at work and has started one itself."""
    with db.tenants([demo.tenant.pk]):
        helpers = AgentInstance.objects.filter(parent__parent=None, status__telemetry_at__isnull=False)
        helpers = helpers.exclude(parent=None).filter(state=InstanceState.PROVISIONING)
        for helper in helpers.filter(name__endswith="-helper-1").order_by("pk"):
            with demo.at(demo.now - timedelta(hours=4)):
                helper = services.move_instance(
                    instance=helper, to=InstanceState.ACTIVE, actor=demo.people["dan"], reason="Telemetry is linked"
                )  # fmt: skip
            _start(demo, helper, 1, timedelta(hours=3))


def _start(demo: Demo, parent: AgentInstance, number: int, ago: timedelta) -> None:
    with demo.at(demo.now - ago):
        services.spawn_instance(
            parent=parent,
            version=parent.version,
            name=f"{parent.name}-helper-{number}",
            actor=demo.people["dan"],
            reason="A long queue",
        )


HEAD = "slug,name,intended_use,risk,tags,cost_center"
TABLES = (
    (
        "agents-of-the-warehouse.csv",
        (
            "stock-check,Stock check,Counts what is there and says what is not,low,warehouse,data",
            "supplier-mail,Supplier mail,Answers questions of suppliers,low,warehouse,support",
        ),
        "The warehouse begins with agents",
    ),
    (
        "agents-of-marketing.csv",
        (
            "post-writer,Post writer,Drafts posts,low,marketing,sales",
            "crowd-caller,Crowd caller,Calls everybody at once,enormous,marketing,sales",
        ),
        "",
    ),
    (
        "agents-to-come.csv",
        (
            "returns-desk,Returns desk,Answers questions about returns,low,support,support",
            "warranty-check,Warranty check,Reads warranty claims and sorts them,medium,support,support",
        ),
        "",
    ),
)
"""File, rows, and why it was applied: '' where it waits, or where one row is wrong and nothing of it may be."""


def send_tables(demo: Demo) -> None:
    """Tables of agents: one is applied, one was refused for one row, and one waits; whoever opens it sees what it would do."""
    for file, rows, why in TABLES:
        table = services.send_table(
            tenant=demo.tenant,
            kind=TableImport.Kind.TEMPLATES,
            file_name=file,
            data="\n".join((HEAD, *rows)).encode(),
            actor=demo.people["alice"],
        )
        if why:
            services.apply_table(table=table, actor=demo.people["alice"], reason=why)


CARD: Final[dict[str, Any]] = {
    "name": "Customs desk",
    "description": "Prepares customs declarations at a partner's place.",
    "version": "4.2.0",
    "provider": {"organization": "Harbour Logistics", "url": "https://harbour.example"},
    "supportedInterfaces": [
        {
            "url": "https://agents.harbour.example/customs",
            "protocolBinding": "JSONRPC",
            "protocolVersion": "1.0",
        }
    ],
    "capabilities": {"streaming": True},
    "securitySchemes": {"key": {"apiKeySecurityScheme": {"location": "header", "name": "X-API-Key"}}},
    "securityRequirements": [{"schemes": {"key": {"list": []}}}],
    "defaultInputModes": ["application/json"],
    "defaultOutputModes": ["application/json"],
    "skills": [
        {
            "id": "declare",
            "name": "Declaration",
            "description": "Fills a declaration from a packing list",
            "tags": ["customs"],
        },
        {
            "id": "classify",
            "name": "Classification",
            "description": "Proposes the tariff number of an article",
            "tags": ["customs"],
        },
    ],
}
"""A partner's A2A Agent Card, as it answers at its well-known address."""


def take_a_card(demo: Demo) -> None:
    """A partner's agent comes by its card: a draft that knows its skills and how callers sign in, and says what it lacks."""
    services.import_agent_card(
        tenant=demo.tenant,
        data=json.dumps(CARD).encode(),
        actor=demo.people["bob"],
        reason="Harbour's agent declares what we ship",
    )
