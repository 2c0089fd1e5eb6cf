"""What the demo's people do in the directory: views that they keep, an act on many rows, a table, helpers of helpers."""

from datetime import timedelta

from arm import services as core
from arm.demo import Demo
from arm.rights import Risk
from registry import services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, AgentTemplate, TableImport

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


HELPERS = (3, 2)
"""How many helpers the first instances that may start others have started."""


def start_helpers(demo: Demo) -> None:
    """Some instances have started helpers of their own kind, as far as their genomes allow."""
    active = AgentInstance.objects.filter(state=InstanceState.ACTIVE, environment__production=True)
    active = active.exclude(template__risk__in=[Risk.HIGH, Risk.CRITICAL])
    for parent, count in zip(
        active.select_related("version__template").order_by("pk"), HELPERS, strict=False
    ):
        for number in range(1, count + 1):
            with demo.at(demo.now - timedelta(hours=6)):
                services.spawn_instance(
                    parent=parent,
                    version=parent.version,
                    name=f"{parent.name}-helper-{number}",
                    actor=demo.people["dan"],
                    reason="A long queue",
                )


AGENTS_TO_COME = """slug,name,intended_use,risk,tags,cost_center
returns-desk,Returns desk,Answers questions about returns,low,support,support
warranty-check,Warranty check,Reads warranty claims and sorts them,medium,support,support
"""


def send_table(demo: Demo) -> None:
    """A table of agents to come is on its way; whoever opens it sees what it would do."""
    services.send_table(
        tenant=demo.tenant,
        kind=TableImport.Kind.TEMPLATES,
        file_name="agents-to-come.csv",
        data=AGENTS_TO_COME.encode(),
        actor=demo.people["alice"],
    )
