"""The demo's stops of everything below an agent, a place or the tenant: set, confirmed by a second person, lifted."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any

from arm.demo import Demo
from policy import services
from policy.engine import Mode
from policy.models import RestrictionRequest
from registry.models import AgentInstance, AgentTemplate, Environment


def stop_and_lift(demo: Demo) -> None:
    """Stops that one person set, and ended hours later."""
    dan, erin = demo.people["dan"], demo.people["erin"]
    for mode, why, mended in _history():
        template = demo.random.choice(list(AgentTemplate.objects.filter(tenant=demo.tenant)))
        moment = demo.moment(0.3, 0.9)
        with demo.at(moment):
            posture = services.set_posture(scope=template, mode=mode, actor=dan, reason=why)
        with demo.at(moment + timedelta(hours=demo.random.uniform(0.2, 6))):
            services.lift_posture(
                posture=posture, actor=erin if mode == Mode.READ_ONLY else dan, reason=mended
            )


def ask_for_stops(demo: Demo) -> None:
    """Stops that took two, and requests for one: confirmed, declined, taken back, unanswered, and two that wait."""
    people = demo.people
    prod = Environment.objects.get(tenant=demo.tenant, slug="prod")
    found = AgentTemplate.objects.filter(tenant=demo.tenant).order_by("pk")
    templates = list(islice(cycle(found), 3))  # a small fleet has one, which is then asked about three times
    minute = timedelta(minutes=1)

    def ask(by: str, scope: Any, moment: datetime, code: str, reason: str) -> RestrictionRequest:
        with demo.at(moment):
            return services.request_restriction(
                scope=scope, mode=Mode.DRAINING, actor=people[by], reason_code=code, reason=reason
            )

    drill = demo.moment(0.2, 0.4)
    for by, second, scope, moment, code, reason in (
        ("dan", "judy", demo.tenant, drill, "drill", "The quarter's drill: everything drains once"),
        ("judy", "dan", prod, demo.moment(0.5, 0.7), "maintenance", "The database moves to new machines"),
        ("grace", "dan", templates[0], demo.moment(0.6, 0.8), "compliance", "Its consent text has no source"),
    ):
        request = ask(by, scope, moment, code, reason)
        with demo.at(moment + 4 * minute):
            services.confirm_restriction(
                request=request, actor=people[second], digest=request.digest, reason="Seen it, too"
            )
        if by != "grace":  # what took two to set takes two to end
            with demo.at(moment + 50 * minute):
                services.request_lift(posture=request.posture, actor=people["carol"], reason="It is over")
        with demo.at(moment + 55 * minute):
            services.lift_posture(posture=request.posture, actor=people["dan"], reason="Done and checked")
    declined = ask("dan", prod, demo.moment(0.7, 0.75), "quality", "Answers of one agent repeat themselves")
    with demo.at(declined.asked_at + 9 * minute):
        services.decline_restriction(
            request=declined, actor=people["judy"], reason="One agent: pause that one, not production"
        )
    mistaken = ask("grace", templates[1], demo.moment(0.75, 0.8), "data", "Names of customers in its output")
    with demo.at(mistaken.asked_at + 3 * minute):
        services.withdraw_restriction(
            request=mistaken, actor=people["grace"], reason="They are names of test accounts"
        )
    missed = ask(
        "ivan", _busy(demo), demo.now - timedelta(days=2), "cost", "Twice its usual spend since noon"
    )
    with demo.at(missed.asked_at + 16 * minute):
        services.expire_restrictions(tenant_id=demo.tenant.pk)
    ask("dan", prod, demo.now - 6 * minute, "security", "A provider reports a leaked key")
    ask("grace", templates[2], demo.now - 2 * minute, "compliance", "Its last review has lapsed")


def _busy(demo: Demo) -> AgentInstance:
    """One that will report: the oldest never do."""
    found = AgentInstance.objects.filter(tenant=demo.tenant, environment__production=True)
    return found.select_related("template", "environment").order_by("-pk")[0]


def _history() -> Iterator[tuple[Mode, str, str]]:
    yield Mode.PAUSED, "Answers in the wrong language since the last release", "Rolled back"
    yield Mode.READ_ONLY, "Wrote into the wrong ledger", "Binding corrected and checked"
    yield Mode.DRAINING, "Maintenance of the database", "Maintenance is over"
