"""What is asked of who says that a version does harm, and what their word does to the incident."""

from arm.errors import Invalid, NotAllowed
from arm.models import User
from arm.rights import Right
from registry.models import AgentVersion

from ..lifecycle import Severity, worse
from ..models import Incident
from ..queries import speaks_for
from .timeline import at


def may_say_harm(actor: User | None, version: AgentVersion | None) -> None:
    """Invalid where there is no version that could do harm; NotAllowed where the actor does not speak for it."""
    if version is None:
        sentence = "Only what is about a version, or an instance of one, says that the version does harm."
        raise Invalid(sentence, [at("/harm", "no_version", sentence)])
    if not speaks_for(actor, version):
        raise NotAllowed(
            f"You may not say that {version} does harm wherever it runs: that takes the right to handle its incidents or"
            " to release it. Leave that out, and the incident is taken.",
            right=Right.MANAGE_INCIDENT.value,
            on=str(version),
        )


def vouch(incident: Incident, severity: Severity, actor: User | None) -> None:
    """Somebody has judged the incident anew: their word, if it counts; a milder one counts from anybody."""
    if speaks_for(actor, incident.version) or (incident.vouched and worse(incident.vouched, severity)):
        incident.vouched = severity
