"""Which prompts of two versions a reader of their differences may open."""

from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..genome import Json
from ..models import AgentVersion
from .versions import stored_document


def prompts_between(
    actor: User, newer: AgentVersion, older: AgentVersion | None
) -> list[tuple[AgentVersion, list[dict[str, Json]]]]:
    """Each version, the older one first, with those of its prompts that the other has not, as its genome names them;
    without versions on which the actor may not read prompts."""
    if older is None:
        return []
    held = {one.pk: stored_document(one).get("prompts", []) for one in (older, newer)}
    rows = AgentVersion.objects.filter(pk__in=held)
    seen = set(visible(rows, actor, Right.READ_PROMPTS).values_list("pk", flat=True))
    found = []
    for one, other in ((older, newer), (newer, older)):
        common = {prompt.get("digest") for prompt in held[other.pk]}
        only = [prompt for prompt in held[one.pk] if prompt.get("digest", "") not in common]
        if one.pk in seen and only:
            found.append((one, only))
    return found
