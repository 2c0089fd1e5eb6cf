"""How callers sign in, as an agent card says it (1.0, and OpenAPI's form before it), as the `security` of a genome. Pure."""

from collections.abc import Iterator

from arm.errors import Problem

from ..genome import Json, pointer
from ..genome.leaks import secrets_in
from ..genome.members import MAX_LIST, Members
from ..genome.security import (
    ADDRESSES_IN_CARDS,
    ANYBODY,
    FLOWS,
    FLOWS_IN_CARDS,
    IN_CARDS,
    MEMBERS_IN_CARDS,
    SCHEMES,
    SCOPED,
)
from .addresses import flaw_of

Path = tuple[str | int, ...]
BEFORE_1_0 = {
    "apiKey": "api_key",
    "http": "http",
    "oauth2": "oauth2",
    "openIdConnect": "openid_connect",
    "mutualTLS": "mutual_tls",
}


class Security:
    """What `file` says of it. Wrong members become lines of `file.problems`, what is not taken over of `notes`."""

    def __init__(self, file: Members) -> None:
        self.file = file
        self.notes: list[str] = []
        self.kinds: dict[str, str] = {}
        schemes = [
            self._scheme(name, one, ("securitySchemes", name))
            for name, one in self._named("securitySchemes", file.document)
        ]
        wanted = [*self._wanted("securityRequirements"), *self._before_1_0()]
        requirements = [{"all_of": all_of} for all_of in wanted if all_of]
        self.document: dict[str, Json] = {
            **({"schemes": schemes} if schemes else {}),
            **({"requirements": requirements} if requirements else {}),
        }
        if file.document.get("authentication"):
            self.notes.append("Not taken over: authentication; such early cards do not say how it is done.")

    def _named(self, name: str, within: dict[str, Json], at: Path = ()) -> list[tuple[str, dict[str, Json]]]:
        held = self.file.mapping(name, within, at)
        if len(held) > MAX_LIST:
            self.file.wrong((*at, name), f"Must have at most {MAX_LIST} members.", "maxItems")
            return []
        for key, value in held.items():
            if not isinstance(value, dict):
                self.file.wrong((*at, name, key), "Must be an object.")
        return [(key, value) for key, value in held.items() if isinstance(value, dict)]

    def _scheme(self, name: str, one: dict[str, Json], at: Path) -> dict[str, Json]:
        for path, what in secrets_in(one):
            message = f"This looks like {what}. A card is read by everybody: take it out and replace it."
            self.file.wrong((*at, *path), message, "secret")
        kind, held, where = self._kind(one, at)
        found: dict[str, Json] = {"name": name, "kind": kind}
        self.kinds[name] = kind
        if not kind:
            return found
        must, may = SCHEMES[kind]
        members = {n: MEMBERS_IN_CARDS[n] for n in ("description", *must, *may) if n in MEMBERS_IN_CARDS}
        if held is one and "location" in members:
            members["location"] = "in"  # OpenAPI's word
        for member, said in members.items():
            if value := self.file.text(held, said, where, required=member in must):
                found[member] = value
                self._reached(member, value, (*where, said))
        read = {*members.values(), *(("type",) if held is one else ())}
        if kind == "oauth2":
            found["flows"] = list(self._flows(held, where))
            read.add("flows")
        self._pass_over(held, read, where)
        return found

    def _reached(self, member: str, value: str, at: Path) -> None:
        """Callers send their secrets to these addresses."""
        if member.endswith("_url") and (flaw := flaw_of(value)):
            self.file.wrong(at, flaw, "address")

    def _kind(self, one: dict[str, Json], at: Path) -> tuple[str, dict[str, Json], Path]:
        """The kind, '' where it has none that is known; the object that its members stand in; where that is."""
        if "type" in one:
            said = self.file.text(one, "type", at, required=True)
            if said and said not in BEFORE_1_0:
                self.file.wrong((*at, "type"), f"Must be one of {', '.join(BEFORE_1_0)}.", "enum")
            return BEFORE_1_0.get(said, ""), one, at
        kinds = [(kind, said) for kind, said in IN_CARDS.items() if said in one]
        if len(kinds) != 1:
            self.file.wrong(at, f"Must have one of {', '.join(IN_CARDS.values())}.", "choice")
            return "", {}, at
        kind, said = kinds[0]
        self._pass_over(one, {said}, at)
        return kind, self.file.mapping(said, one, at), (*at, said)

    def _flows(self, held: dict[str, Json], at: Path) -> Iterator[dict[str, Json]]:
        known = {said: kind for kind, said in FLOWS_IN_CARDS.items()}
        flows = self._named("flows", held, at)
        if not flows:
            self.file.wrong((*at, "flows"), "“flows” is required here, with one flow in it.", "required")
        for name, flow in flows:
            where = (*at, "flows", name)
            if name not in known:
                self.file.wrong(where, f"Must be one of {', '.join(known)}.", "enum")
                continue
            kind = known[name]
            must, may = FLOWS[kind]
            found: dict[str, Json] = {"kind": kind}
            for member, said in ADDRESSES_IN_CARDS.items():
                belongs = member in must or member in may
                if belongs and (value := self.file.text(flow, said, where, required=member in must)):
                    found[member] = value
                    self._reached(member, value, (*where, said))
            read = {ADDRESSES_IN_CARDS[m] for m in (*must, *may) if m in ADDRESSES_IN_CARDS} | {"scopes"}
            if "pkce_required" in may:
                read.add("pkceRequired")
                pkce = flow.get("pkceRequired")
                if pkce is not None and not isinstance(pkce, bool):
                    self.file.wrong((*where, "pkceRequired"), "Must be true or false.")
                elif pkce:
                    found["pkce_required"] = True
            scopes = self.file.mapping("scopes", flow, where)
            found["scopes"] = [
                {"name": scope, "description": self.file.text(scopes, scope, (*where, "scopes"))}
                for scope in list(scopes)[:MAX_LIST]
            ]
            if len(scopes) > MAX_LIST:
                self.file.wrong((*where, "scopes"), f"Must have at most {MAX_LIST} members.", "maxItems")
            self._pass_over(flow, read, where)
            yield found

    def _wanted(self, member: str) -> Iterator[list[dict[str, Json]]]:
        """Each alternative: 1.0 puts the schemes of one under `schemes`, and their scopes under `list`."""
        for at, one in self.file.objects(self.file.document, member):
            whole = member == "securityRequirements"
            schemes, where = (self.file.mapping("schemes", one, at), (*at, "schemes")) if whole else (one, at)
            if not schemes and whole:
                message = "Names no scheme: nobody can sign that, since readers drop what is empty."
                self.file.wrong(at, message, "required")
            found: list[dict[str, Json]] = []
            for name, said in schemes.items():
                if name not in self.kinds:
                    self.file.wrong((*where, name), "No scheme of the card has this name.", "unknown")
                    continue
                if whole and not isinstance(said, dict):
                    self.file.wrong((*where, name), "Must be an object.")
                    continue
                scopes = (
                    self.file.texts(said, "list", (*where, name))
                    if whole
                    else self.file.texts(schemes, name, where)
                )
                if self.kinds[name] not in SCOPED and scopes == [ANYBODY]:
                    scopes = []
                found.append({"scheme": name, "scopes": scopes} if scopes else {"scheme": name})
            yield found

    def _before_1_0(self) -> list[list[dict[str, Json]]]:
        """OpenAPI's form, where an empty alternative says that nobody needs to sign in. A genome cannot say that of some
        alternatives beside others: none is taken over, since the others alone would say that callers must."""
        held = self.file.document.get("security")
        wanted = list(self._wanted("security"))
        if not isinstance(held, list) or {} not in held:
            return wanted
        self.notes.append(
            "Not taken over: security; the card also lets callers in who do not sign in, which a genome cannot say. "
            "What it asks of nobody is no requirement; the ways to sign in are kept."
        )
        return []

    def _pass_over(self, held: dict[str, Json], read: set[str], at: Path) -> None:
        for name in [name for name in held if name not in read][:20]:
            self.notes.append(f"Not taken over: {'/'.join(map(str, at))}/{name[:60]}.")

    def at_home(self, problems: list[Problem]) -> list[Problem]:
        """The problems of a genome with this `security`, where the card has what they are of."""
        names = list(self.kinds)
        found = []
        for problem in problems:
            parts = problem["pointer"].split("/")
            if parts[1:3] == ["security", "schemes"] and len(parts) > 3:
                where = pointer(("securitySchemes", names[int(parts[3])]))
                problem = Problem(pointer=where, code=problem["code"], message=problem["message"])
            elif parts[1] == "security":
                where = (
                    "/securityRequirements" if "securityRequirements" in self.file.document else "/security"
                )
                problem = Problem(pointer=where, code=problem["code"], message=problem["message"])
            found.append(problem)
        return found
