"""The `security` of a genome as `securitySchemes` and `securityRequirements` of an A2A 1.0 card. Pure.

Nothing empty is written: see `a2a`. A member that such a card must have and that would be empty is refused instead.
"""

from collections.abc import Iterator
from typing import Any

from arm.errors import Problem

from ..genome import Json, pointer
from ..genome.security import (
    ADDRESSES_IN_CARDS,
    ANYBODY,
    FLOWS_IN_CARDS,
    IN_CARDS,
    MEMBERS_IN_CARDS,
    SCOPED,
)


def security(document: dict[str, Json]) -> dict[str, Any]:
    """The members of the card; none of them where the genome does not say how callers sign in."""
    held = document.get("security", {})
    kinds = {scheme["name"]: scheme["kind"] for scheme in held.get("schemes", ())}
    return {
        "securitySchemes": {scheme["name"]: _scheme(scheme) for scheme in held.get("schemes", ())},
        "securityRequirements": [
            {"schemes": {one["scheme"]: {"list": _scopes(one, kinds)} for one in requirement["all_of"]}}
            for requirement in held.get("requirements", ())
        ],
    }


def security_problems(document: dict[str, Json]) -> Iterator[Problem]:
    """What keeps the genome's `security` from being said in a card that everybody verifies alike."""
    held = document.get("security", {})
    kinds = {scheme["name"]: scheme["kind"] for scheme in held.get("schemes", ())}
    for scheme in held.get("schemes", ()):
        at = ("securitySchemes", scheme["name"], IN_CARDS[scheme["kind"]])
        if scheme["kind"] == "mutual_tls" and not scheme.get("description"):
            message = "A card describes mutual TLS: without a word the scheme is an empty object, which readers drop."
            yield Problem(pointer=pointer((*at, "description")), code="required", message=message)
        flows = scheme.get("flows", ())
        if len(flows) > 1:
            message = "A card of A2A 1.0 takes one flow; put the others into schemes of their own."
            yield Problem(pointer=pointer((*at, "flows")), code="maxItems", message=message)
        for flow in flows:
            where = (*at, "flows", FLOWS_IN_CARDS[flow["kind"]], "scopes")
            if not flow.get("scopes") and flow["kind"] not in ("implicit", "password"):
                message = "A flow of an agent card must have “scopes”."
                yield Problem(pointer=pointer(where), code="required", message=message)
            for scope in flow.get("scopes", ()):
                if not scope.get("description"):
                    message = "A card describes each scope: readers drop what is empty."
                    yield Problem(pointer=pointer((*where, scope["name"])), code="required", message=message)
    for number, requirement in enumerate(held.get("requirements", ())):
        for one in requirement["all_of"]:
            if kinds.get(one["scheme"]) in SCOPED and not one.get("scopes"):
                at = ("securityRequirements", number, "schemes", one["scheme"], "list")  # type: ignore[assignment]
                message = "A card names the scopes that a caller needs: readers drop what is empty."
                yield Problem(pointer=pointer(at), code="required", message=message)


def _scheme(scheme: dict[str, Json]) -> dict[str, Any]:
    found: dict[str, Any] = {
        said: scheme[member] for member, said in MEMBERS_IN_CARDS.items() if scheme.get(member)
    }
    if flows := scheme.get("flows"):
        found["flows"] = {FLOWS_IN_CARDS[flow["kind"]]: _flow(flow) for flow in flows}
    return {IN_CARDS[scheme["kind"]]: found}


def _flow(flow: dict[str, Json]) -> dict[str, Any]:
    found: dict[str, Any] = {
        said: flow[member] for member, said in ADDRESSES_IN_CARDS.items() if flow.get(member)
    }
    found["scopes"] = {scope["name"]: scope.get("description", "") for scope in flow.get("scopes", ())}
    return found | (
        {"pkceRequired": True} if flow.get("pkce_required") else {}
    )  # false is left out, as unsaid


def _scopes(one: dict[str, Json], kinds: dict[str, str]) -> list[str]:
    scopes = list(one.get("scopes", ()))
    return scopes or ([] if kinds.get(one["scheme"]) in SCOPED else [ANYBODY])
