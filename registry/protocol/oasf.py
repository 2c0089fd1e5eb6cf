"""A version as a record of the Open Agentic Schema Framework (0.8), and a record as the draft of a genome. Pure.

The framework's skills and domains are classes of its own taxonomy. Nobody has said which of them an agent's skills are,
so both lists are empty; the genome stands whole in a module of our own.
"""

from arm.errors import Invalid, Problem

from ..genome import Json, read
from ..genome.members import Members
from .common import Draft, Path, Subject, changed_since, judged, lacking, written

VERSION = "0.8.0"
MODULE = "arm.example/genome"
MEASURED = "arm.example/evaluation"
DIGEST = "arm.example/genome-digest"


def record(about: Subject, document: dict[str, Json]) -> bytes:
    """The record of a version. Invalid where it would lack a description, which a record must have."""
    if not about.description:
        message = "An OASF record must have a description; describe the agent or the version."
        raise Invalid(message, [Problem(pointer="/description", code="required", message=message)])
    return written(
        {
            "name": about.name,
            "version": about.version,
            "schema_version": VERSION,
            "description": about.description,
            "authors": [about.organisation],
            "created_at": about.created,
            "skills": [],
            "domains": [],
            "locators": [],
            "modules": [{"name": MODULE, "data": document}, *_measured(about)],
            "annotations": {
                DIGEST: about.digest,
                "arm.example/version": about.version_id,
                "arm.example/template": about.template_id,
            },
        }
    )


def _measured(about: Subject) -> list[Json]:
    held = [{"capability": one.capability, "percent": one.percent, "by": one.by} for one in about.measured]
    return [{"name": MEASURED, "data": {"capabilities": held}}] if held else []


def read_record(data: bytes) -> Draft:
    """Read a record: the genome of our module, or of a foreign record its skills. Invalid or TooLarge where the bytes
    are no I-JSON object; a record with wrong members comes back with `problems`."""
    file = Members(read(data, media_type="application/json").document)
    name = file.text(file.document, "name", required=True, most=200)
    label = file.text(file.document, "version", most=80)
    description = file.text(file.document, "description", most=65_536)
    if not file.text(file.document, "schema_version", most=32) and not file.problems:
        file.wrong(
            ("schema_version",), "An OASF record says which version of the schema it follows.", "required"
        )
    notes: list[str] = []
    document: dict[str, Json] = {"schema": "arm.genome/v1"}
    placed: dict[str, str] = {}
    ours: Path = ()
    for at, module in file.objects(file.document, "modules"):
        if module.get("name") == MODULE:
            ours = at
            document |= file.mapping("data", module, at)
        elif module.get("name") == MEASURED:
            notes.append("Not taken over: what was measured elsewhere; suites measure it here.")
        else:
            notes.append(f"Not taken over: the module {str(module.get('name'))[:80]}.")
    if ours:
        place = f"/modules/{ours[-1]}/data"
        placed = {f"/{member}": f"{place}/{member}" for member in document}
    elif skills := _skills(file):
        document["skills"] = skills
    if file.document.get("locators"):
        notes.append("Not taken over: locators; addresses belong to instances.")
    if file.document.get("domains"):
        notes.append("Not taken over: domains; a genome has no member for them.")
    if file.document.get("signature") or file.document.get("signatures"):
        notes.append("The signature was not verified.")
    problems = file.problems or judged(document, placed)
    said = file.mapping("annotations").get(DIGEST)
    if not problems and ours and isinstance(said, str):
        problems = changed_since(document, said, ("annotations", DIGEST))
    note = lacking(document)
    return Draft(
        name, description, label, document, (*notes, note) if note else tuple(notes), tuple(problems)
    )


def _skills(file: Members) -> list[Json]:
    found: dict[str, Json] = {}
    for at, one in file.objects(file.document, "skills"):
        name = file.text(one, "name", at, required=True, most=256)
        known = one.get("id")
        id = str(known) if isinstance(known, str | int) and not isinstance(known, bool) else name
        if id in found:
            file.wrong((*at, "id"), "Another skill has the same id.", "duplicate")
        found[id] = {"id": id, "name": name, "description": name}  # a record says no more of a skill
    return list(found.values())
