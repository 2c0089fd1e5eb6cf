"""A version as a record of the Open Agentic Schema Framework (0.8), and a record as the draft of a genome. Pure.

The framework's skills and domains are classes of its own taxonomy: skills stand there as far as the genome says which of
its classes they are, and no domain does. Models and where the source and the image lie stand where the framework has
them; the genome stands whole in a module of our own, and a record whose other members say something else is refused.
"""

import re

from arm.crypto import canonical
from arm.errors import Invalid, Problem

from ..genome import NAME, Json, normalise, pointer, read
from ..genome.members import Members
from .common import Draft, Path, Subject, changed_since, judged, lacking, written

VERSION = "0.8.0"
MODULE = "arm.example/genome"
MEASURED = "arm.example/evaluation"
DIGEST = "arm.example/genome-digest"
MODELS = "core/language_model/model"
OF_MODELS = (MODELS, "core/llm/model")
"""The module of language models, and what older records call it."""
CLASS = re.compile(r"[a-z0-9_]{1,64}(/[a-z0-9_]{1,64}){0,4}")
ADDRESS = re.compile(r"https?://[^\s]{1,2040}")
IMAGE = re.compile(r"([^\s@]+@)?sha256:[0-9a-f]{64}")


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
            **_derived(document),
            "domains": [],
            "modules": [{"name": MODULE, "data": document}, *_models(document), *_measured(about)],
            "annotations": {
                DIGEST: about.digest,
                "arm.example/version": about.version_id,
                "arm.example/template": about.template_id,
            },
        }
    )


def _derived(document: dict[str, Json]) -> dict[str, Json]:
    """`skills` and `locators`, as far as the genome says what the framework asks for there."""
    classes = {canonical(one): one for skill in document.get("skills", ()) if (one := skill.get("oasf"))}
    repository = str(document.get("provenance", {}).get("source_repo", ""))
    image = str(document.get("runtime", {}).get("image", ""))
    name, _, digest = image.rpartition("@")
    locators: list[Json] = []
    if ADDRESS.fullmatch(repository):
        locators.append({"type": "source_code", "url": repository})
    if name:
        locators.append({"type": "docker_image", "url": image, "digest": digest})
    return {"skills": [classes[key] for key in sorted(classes)], "locators": locators}


def _models(document: dict[str, Json]) -> list[Json]:
    """The framework also asks for the address of a model's API, which a genome does not know: it is left out."""
    held = [
        {"model": f"{model['name']}@{model['revision']}", "provider": model["provider"]}
        for model in document.get("models", ())
    ]
    return [{"name": MODELS, "data": {"models": held}}] if held else []


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
    modelled: list[tuple[Path, dict[str, Json]]] = []
    document: dict[str, Json] = {}
    placed: dict[str, str] = {}
    ours: Path = ()
    for at, module in file.objects(file.document, "modules"):
        if module.get("name") == MODULE:
            ours = at
            document |= file.mapping("data", module, at)
        elif module.get("name") == MEASURED:
            notes.append("Not taken over: what was measured elsewhere; suites measure it here.")
        elif module.get("name") in OF_MODELS:
            modelled.append((at, file.mapping("data", module, at)))
        else:
            notes.append(f"Not taken over: the module {str(module.get('name'))[:80]}.")
    if ours:
        place = f"/modules/{ours[-1]}/data"
        placed = {f"/{member}": f"{place}/{member}" for member in document}
    else:
        document = {"schema": NAME, **_foreign(file, modelled, notes)}
    if file.document.get("domains"):
        notes.append("Not taken over: domains; a genome has no member for them.")
    if file.document.get("signature") or file.document.get("signatures"):
        notes.append("The signature was not verified.")
    problems = file.problems or judged(document, placed)
    said = file.mapping("annotations").get(DIGEST)
    if not problems and ours and isinstance(said, str):
        problems = changed_since(document, said, ("annotations", DIGEST)) or _strays(file, document, modelled)
    note = lacking(document)
    return Draft(
        name, description, label, document, (*notes, note) if note else tuple(notes), tuple(problems)
    )


def _strays(
    file: Members, document: dict[str, Json], modelled: list[tuple[Path, dict[str, Json]]]
) -> list[Problem]:
    """Where a record of ours says of skills, locators or models something else than its genome."""
    message = "The record was changed after it was exported: its genome says something else here."
    places: list[Path] = [
        (name,)
        for name, value in _derived(normalise(document)).items()
        if file.document.get(name)
        and file.document[name] != value  # records of earlier releases say nothing there
    ]
    if modelled and [data for _, data in modelled] != [one["data"] for one in _models(normalise(document))]:
        places.append(modelled[0][0])
    return [Problem(pointer=pointer(at), code="tampered", message=message) for at in places]


def _foreign(
    file: Members, modelled: list[tuple[Path, dict[str, Json]]], notes: list[str]
) -> dict[str, Json]:
    """What a record of elsewhere says of skills, models and its image; what it does not say well enough is a note."""
    found: dict[str, Json] = {"skills": skills} if (skills := _skills(file)) else {}
    if skills:
        notes.append("A record does not describe its skills, and a genome must: their names stand there.")
    models = [one for at, data in modelled for _, one in file.objects(data, "models", (*at, "data"))]
    for one in models:
        name, _, revision = str(one.get("model", "")).rpartition("@")
        provider = one.get("provider")
        if len(models) == 1 and name and isinstance(provider, str) and provider:
            primary = {"role": "primary", "provider": provider, "name": name, "revision": revision}
            found["models"] = [primary]
        else:
            why = "which of several is primary" if len(models) > 1 else "provider and revision"
            notes.append(
                f"Not taken over: the model {str(one.get('model'))[:80]}; the record does not say {why}."
            )
    for _, one in file.objects(file.document, "locators"):
        url, kind = one.get("url"), one.get("type")
        digest = one.get("digest")
        if kind == "docker_image" and isinstance(url, str):
            pinned = url if "@" in url else f"{url}@{digest}"
            if IMAGE.fullmatch(pinned) and "runtime" not in found:
                found["runtime"] = {"image": pinned}
                continue
        notes.append(f"Not taken over: locators ({str(url)[:100]} pins no image).")
    for author in file.texts(file.document, "authors")[:1]:
        notes.append(f"Not taken over: authors ({author[:80]}); who owns the agent is said here.")
    return found


def _skills(file: Members) -> list[Json]:
    found: dict[str, Json] = {}
    for at, one in file.objects(file.document, "skills"):
        name = file.text(one, "name", at, required=True, most=256)
        known = one.get("id")
        id = str(known) if isinstance(known, str | int) and not isinstance(known, bool) else name
        if id in found:
            file.wrong((*at, "id"), "Another skill has the same id.", "duplicate")
        found[id] = {"id": id, "name": name, "description": name}  # see the note in `_foreign`
        if CLASS.fullmatch(name):
            number = {"id": known} if type(known) is int and 0 < known < 2**31 else {}
            found[id]["oasf"] = {"name": name, **number}
    return list(found.values())
