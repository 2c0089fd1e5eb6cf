"""The demo's questions: views that people keep, and an act on many rows."""

from arm import services as core
from arm.demo import Demo
from arm.rights import Risk
from registry import services
from registry.models import AgentTemplate

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
    agents = AgentTemplate.objects.filter(risk=Risk.CRITICAL).order_by("pk")[:10]
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
