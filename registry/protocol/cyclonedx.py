"""A version as a CycloneDX 1.6 or 1.7 ML-BOM, and a BOM as the draft of a genome. Pure.

What CycloneDX has a member for stands there; the rest of the genome stands in `properties` named `arm:…`, each value
canonical JSON, so that a BOM of ours read again is the same genome with the same digest. Times and serial numbers that
change from export to export are left out: the same version is the same bytes.
"""

import json
import re
import uuid
from typing import Any

from arm.errors import Invalid, Problem

from ..genome import NAME, Json, normalise, pointer, read
from ..genome.members import Members
from ..genome.schema import MAX_TOOLS
from .bom_servers import Servers, depends, hashes, packages, services
from .common import Draft, Path, Subject, changed_since, judged, lacking, said, text_of, value_of, written

SPECS = ("1.6", "1.7")
READ = ("1.5", *SPECS)
MEMBER = "arm:genome:"
ITEM = "arm:"
MOST = MAX_TOOLS + 1000
MIME = re.compile(r"[-+a-z0-9.]+/[-+a-z0-9.]+")
ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
LISTED = ("models", "prompts", "tools", "data_sources")
BESIDE = ("name", "version", "description")
"""What a BOM says of the agent that stands in no genome."""
PLACED = (*LISTED, "servers")
"""Members that stand in places of their own; the rest stands in properties."""


def bom(about: Subject, document: dict[str, Json], spec: str) -> bytes:
    """The BOM of a version in `spec` (1.6 or 1.7). Nothing of the genome is left out."""
    components = [
        *(_model(n, model, about) for n, model in enumerate(document.get("models", ()))),
        *(_prompt(n, prompt) for n, prompt in enumerate(document.get("prompts", ()))),
        *(_tool(n, tool) for n, tool in enumerate(document.get("tools", ()))),
        *(_data(n, source) for n, source in enumerate(document.get("data_sources", ()))),
    ]
    components += packages(document)
    served = services(document)
    return written(
        {
            "$schema": f"http://cyclonedx.org/schema/bom-{spec}.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": spec,
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{about.version_id} {about.digest}')}",
            "version": 1,
            "metadata": {
                "component": _agent(about, document),
                **({"supplier": {"name": about.organisation}} if about.organisation else {}),
            },
            "components": components,
            "services": served,
            "dependencies": [
                {"ref": about.version_id, "dependsOn": [one["bom-ref"] for one in (*components, *served)]},
                *depends(document),
            ],
        }
    )


def _agent(about: Subject, document: dict[str, Json]) -> dict[str, Any]:
    rest = {
        name: value
        for name, value in sorted(document.items())
        if name not in PLACED or not value  # an empty list says something: there are none
    }
    repository = str(document.get("provenance", {}).get("source_repo", ""))
    found: dict[str, Any] = {
        "type": "application",
        "bom-ref": about.version_id,
        "name": about.name,
        "version": about.version,
        "hashes": hashes(about.digest),
        "properties": said(rest, MEMBER),
    }
    if about.description:
        found["description"] = about.description
    if ADDRESS.fullmatch(repository):
        found["externalReferences"] = [{"type": "vcs", "url": repository}]
    return found


def _model(number: int, model: dict[str, Json], about: Subject) -> dict[str, Any]:
    held = dict(model)
    found = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{number}",
        "supplier": {"name": held.pop("provider")},
        "name": held.pop("name"),
        "version": held.pop("revision"),
        **({"hashes": hashes(held.pop("digest"))} if "digest" in held else {}),
    }
    parameters = held.pop("parameters", None)
    card: dict[str, Any] = {}
    if parameters:
        card["properties"] = [{"name": "arm:parameters", "value": text_of(parameters)}]
    if (
        about.measured and model["role"] == "primary"
    ):  # only models have a card; it is the agent that was measured
        metrics = [
            {
                "type": one.capability,
                "value": one.percent,
                "slice": f"the whole agent, by {one.by}",
                **({"confidenceInterval": _interval(*one.between)} if one.between else {}),
            }
            for one in about.measured
        ]
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return found | {"modelCard": card, "properties": said(held, ITEM)}


def _interval(low: str, high: str) -> dict[str, str]:
    """Of 95 %, in the unit of the value."""
    return {"lowerBound": low, "upperBound": high}


def _prompt(number: int, prompt: dict[str, Json]) -> dict[str, Any]:
    held = dict(prompt)
    found = {
        "type": "data",
        "bom-ref": f"prompt:{number}",
        "name": held.get("name") or held["role"],
        "hashes": hashes(held.pop("digest")),
        "data": [{"type": "other", "name": f"prompt ({held['role']})"}],
    }
    if MIME.fullmatch(held["media_type"]):
        found["mime-type"] = held.pop("media_type")
    return found | {"properties": said(held, ITEM)}


def _tool(number: int, tool: dict[str, Json]) -> dict[str, Any]:
    held = dict(tool)
    found = {"type": "library", "bom-ref": f"tool:{number}", "name": held.pop("name")}
    return found | {"properties": said(held, ITEM)}


def _data(number: int, source: dict[str, Json]) -> dict[str, Any]:
    held = dict(source)
    name = held.pop("id")
    kept = {"type": "dataset", "name": name, "classification": held.pop("class")}
    found = {"type": "data", "bom-ref": f"data:{number}", "name": name, "data": [kept]}
    return found | {"properties": said(held, ITEM)}


# --- reading -------------------------------------------------------------------------------------------------


def read_bom(data: bytes) -> Draft:
    """Read a CycloneDX 1.5 to 1.7 BOM. Of a foreign one models are taken over as far as it names provider and version,
    and data sets as far as it says how they are used; notes name what was left.

    Invalid or TooLarge where the bytes are no I-JSON object; a BOM with wrong members comes back with `problems`.
    """
    file = _Bom(read(data, media_type="application/json").document)
    if file.document.get("bomFormat") != "CycloneDX":
        file.wrong(("bomFormat",), "This is no CycloneDX BOM in JSON.", "format")
    elif file.document.get("specVersion") not in READ:
        file.wrong(("specVersion",), f"Read are the versions {', '.join(READ)}.", "version")
    metadata = file.mapping("metadata")
    at: Path = ("metadata", "component")
    agent = file.mapping("component", metadata, ("metadata",))
    name = file.text(agent, "name", at, required=True, most=200)
    label = file.text(agent, "version", at, most=80)
    description = file.text(agent, "description", at, most=65_536)
    file.take_members(agent, at)
    file.left += [f"metadata › {other[:60]}." for other in sorted(metadata.keys() - {"component"})]
    file.servers.take_services(file.document)
    for where, one in file.objects(file.document, "components", most=MOST):
        file.take_component(one, where)
    document = file.genome()
    problems = file.problems or judged(document, file.placed)
    if not problems and file.ours:
        digest = file.sha256(agent, at)
        problems = changed_since(document, digest, (*at, "hashes", 0, "content"))
        if digest and not problems:
            problems = _strays(file, normalise(document), agent)
    return Draft(name, description, label, document, tuple(file.noted()), tuple(problems))


def _strays(file: "_Bom", document: dict[str, Json], agent: dict[str, Json]) -> list[Problem]:
    """Where a BOM of ours says beside its genome something that its genome does not. The agent's name, version and
    description are no part of a genome; what was measured is not taken over."""
    ref = file.text(agent, "bom-ref", ("metadata", "component"))
    name, label, description = (str(agent.get(one) or "") for one in BESIDE)
    about = Subject(name, label, description, "", ref, "", "", "")
    ours = json.loads(bom(about, document, SPECS[-1]))
    found: list[Path] = []
    at: Path = ("metadata", "component")
    expected = ours["metadata"]["component"]
    for member in sorted((agent.keys() | expected.keys()) - {*BESIDE, "bom-ref", "hashes"}):
        if agent.get(member) != expected.get(member):
            found.append((*at, member) if member in agent else at)
    for listed, key in (("components", "bom-ref"), ("services", "bom-ref"), ("dependencies", "ref")):
        wanted = {one[key]: one for one in ours[listed]}
        for where, one in file.objects(file.document, listed, most=MOST):
            mine = wanted.pop(held, None) if isinstance(held := one.get(key), str) else None
            if mine is None and listed == "services":
                found.append(where)
            elif mine is not None:
                said = _unmeasured(one)
                differ = [
                    name for name in sorted(mine.keys() | said.keys()) if mine.get(name) != said.get(name)
                ]
                found += [(*where, name) if name in said else where for name in differ]
        if wanted:
            found.append((listed,))
    message = "The file was changed after it was exported: its genome says something else here."
    return [Problem(pointer=pointer(place), code="tampered", message=message) for place in found[:100]]


def _unmeasured(component: dict[str, Json]) -> dict[str, Json]:
    card = component.get("modelCard")
    if not isinstance(card, dict):
        return component
    kept = {name: value for name, value in card.items() if name != "quantitativeAnalysis"}
    return {**component, "modelCard": kept}


class _Bom(Members):
    def __init__(self, document: dict[str, Json]) -> None:
        super().__init__(document)
        self.members: dict[str, Json] = {}
        self.items: dict[str, list[tuple[dict[str, Json], Path]]] = {name: [] for name in LISTED}
        self.models = 0
        self.servers = Servers(self)
        self.left: list[str] = []
        self.others: dict[str, int] = {}

    @property
    def ours(self) -> bool:
        """Every genome of ours names its agent; some were stored without their schema."""
        return "schema" in self.members or "template" in self.members

    @property
    def placed(self) -> dict[str, str]:
        """Pointers into the genome, and where in the file that was read."""
        return {
            f"/{name}/{number}": pointer(at)
            for name, items in self.items.items()
            for number, (_, at) in enumerate(items)
        } | {f"/servers/{number}": pointer(at) for number, at in enumerate(self.servers.places.values())}

    def genome(self) -> dict[str, Json]:
        models = [one for one, _ in self.items["models"]]
        if self.models == len(models) == 1:
            models[0].setdefault("role", "primary")  # the only one there is
        for model in models:
            if "role" not in model:
                self.left.append(
                    f"The model {model['name']}: the file does not say which of several is primary."
                )
        self.items["models"] = [held for held in self.items["models"] if "role" in held[0]]
        lists = {name: [one for one, _ in items] for name, items in self.items.items() if items}
        if servers := self.servers.servers():
            lists["servers"] = servers
        return {**({} if self.ours else {"schema": NAME}), **self.members, **lists}

    def noted(self) -> list[str]:
        """The notes."""
        found = [f"Not taken over: {line}" for line in self.left[:20]]
        if len(self.left) > 20:
            found.append(f"Not taken over: {len(self.left) - 20} more.")
        if self.others:
            spoken = ", ".join(f"{count} of type {kind}" for kind, count in sorted(self.others.items()))
            found.append(f"Not taken over: components that a genome has no member for ({spoken}).")
        if not self.ours and self.document.get("services"):
            found.append("Which tools of its services the agent uses is not said in a BOM.")
        note = lacking(self.genome())
        return [*found, note] if note else found

    def properties(self, within: dict[str, Json], at: Path, prefix: str) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for where, one in self.objects(within, "properties", at, most=4096):
            name, value = one.get("name"), one.get("value")
            if not isinstance(name, str) or not name.startswith(prefix):
                continue
            short = name.removeprefix(prefix)
            if short in found:
                self.wrong(where, f"The property “{name}” comes twice.", "duplicate")
            elif not isinstance(value, str):
                self.wrong((*where, "value"), "Must be a string.")
            else:
                try:
                    found[short] = value_of(value)
                except Invalid as problem:
                    why = problem.errors[0]["message"]
                    self.wrong((*where, "value"), f"Must be a JSON value in a string. {why}", "syntax")
        return found

    def addresses(self, within: dict[str, Json], name: str, at: Path) -> list[str]:
        """A list of addresses, in its order."""
        return [url for _, url in self._items(within, name, at, str, "an address")]

    def sha256(self, within: dict[str, Json], at: Path) -> str:
        for _, one in self.objects(within, "hashes", at):
            if one.get("alg") == "SHA-256" and isinstance(one.get("content"), str):
                return f"sha256:{one['content'].lower()}"
        return ""

    def take_members(self, agent: dict[str, Json], at: Path) -> None:
        self.members = self.properties(agent, at, MEMBER)
        for name in PLACED:
            if self.members.get(name):  # written only to say that there are none
                self.wrong((*at, "properties"), f"“{MEMBER}{name}” may only be empty.", "format")
                del self.members[name]

    def take_component(self, one: dict[str, Json], at: Path) -> None:
        kind = one.get("type")
        more = self.properties(one, at, ITEM)
        sets = [held for _, held in self.objects(one, "data", at) if held.get("type") == "dataset"]
        name = self.text(one, "name", at, required=True, most=512)
        if one.get("components"):
            self.left.append(f"What is nested in the component {name}.")
        if kind == "machine-learning-model":
            self._take_model(name, one, at, more)
        elif kind == "data" and "role" in more:
            mime = self.text(one, "mime-type", at)
            held = {"digest": self.sha256(one, at), **({"media_type": mime} if mime else {}), **more}
            self._take("prompts", held, at)
        elif kind == "data" and sets:
            source = {"id": name, "class": sets[0].get("classification"), **more}
            if "access" in source and source["class"]:
                self._take("data_sources", source, at)
            else:
                self.left.append(f"The data set {name}: how it is classified and accessed is not said.")
        elif "package_of" in more:
            self.servers.take_package(name, one, at, more)
        elif "schema_digest" in more:
            self._take("tools", {"name": name, **more}, at)
        else:
            label = str(kind)[:40]
            self.others[label] = self.others.get(label, 0) + 1

    def _take_model(self, name: str, one: dict[str, Json], at: Path, more: dict[str, Json]) -> None:
        self.models += 1
        card = self.mapping("modelCard", one, at)
        parameters = self.properties(card, (*at, "modelCard"), ITEM)
        if card.get("quantitativeAnalysis"):
            self.left.append(f"What was measured elsewhere (model card of {name}); suites measure it here.")
        provider = (
            self.text(self.mapping("supplier", one, at), "name", (*at, "supplier"))
            or self.text(one, "publisher", at)
            or self.text(one, "group", at)
        )
        revision = self.text(one, "version", at)
        if not provider or not revision:
            lacks = " and ".join(
                word for word, held in (("a supplier", provider), ("a version", revision)) if not held
            )
            self.left.append(f"The model {name}: the file names no {lacks.removeprefix('a ')} of it.")
            return
        digest = self.sha256(one, at)
        held = {"provider": provider, "name": name, "revision": revision, **more, **parameters}
        self._take("models", held | ({"digest": digest} if digest else {}), at)

    def _take(self, member: str, item: dict[str, Json], at: Path) -> None:
        self.items[member].append((item, at))
