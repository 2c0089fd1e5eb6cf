"""Who answered for some of the demo's agents and has left: one had a successor, the other had none."""

from collections.abc import Sequence
from datetime import timedelta

from arm import services as core
from arm.demo import Demo
from arm.models import Membership, User
from registry import services
from registry.models import AgentTemplate

OSCAR = "oscar"
FEW = 3
"""A fleet of fewer agents keeps its owners."""


def hand_over(demo: Demo, templates: Sequence[AgentTemplate]) -> None:
    """Oscar, who owns two agents: Alice succeeds him for the one, nobody for the other."""
    if len(templates) < FEW:
        return
    judy = demo.people["judy"]
    with demo.at(demo.now - timedelta(days=12)):
        oscar = User(username=OSCAR, first_name="Oscar", last_name="Owner", email="oscar@example.com")
        oscar.set_unusable_password()
        oscar.save()
        core.add_member(tenant=demo.tenant, user=oscar, actor=demo.admin, reason="Joins the operations team")
        for template, line in ((templates[-2], [demo.people["alice"]]), (templates[-1], [])):
            services.set_owners(template=template, owners=[oscar], actor=judy, reason="He runs it day by day")
            services.set_successors(
                template=template, successors=line, actor=judy, reason="As he has named them"
            )


def leave(demo: Demo) -> None:
    """He has left: what he owned passes on, or is flagged."""
    member = Membership.objects.filter(tenant=demo.tenant, user__username=OSCAR).first()
    if member is not None:
        with demo.at(demo.now - timedelta(days=1)):
            core.remove_member(member=member, actor=demo.people["judy"], reason="Left the company")
