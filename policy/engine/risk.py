"""How dangerous a tool is: the catalogue of known names, what tenants add, and what unknown means."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from msgspec import Struct

from policy.engine.terms import Risk

KEPT = 4096
"""Names remembered per catalogue; agents choose the names, so the memory is bounded."""


class ToolClass(StrEnum):
    ANALYSIS = "analysis"
    COMMAND = "command"
    DATABASE = "database"
    DEPLOY = "deploy"
    DOCUMENT = "document"
    FILE = "file"
    MESSAGING = "messaging"
    NETWORK = "network"
    PAYMENT = "payment"
    SCHEDULE = "schedule"
    SEARCH = "search"
    SECRETS = "secrets"
    SPAWN = "spawn"
    VCS = "vcs"
    UNKNOWN = "unknown"


SEED: dict[Risk, dict[ToolClass, str]] = {
    Risk.GREEN: {
        ToolClass.ANALYSIS: "analyze_data qc_report think",
        ToolClass.DATABASE: "query_db read_db",
        ToolClass.DOCUMENT: "create_doc generate_draft",
        ToolClass.FILE: "glob grep list_dir list_files read read_file",
        ToolClass.MESSAGING: "post_comment",
        ToolClass.SEARCH: "memory_search search web_search",
    },
    Risk.YELLOW: {
        ToolClass.ANALYSIS: "qc_scan",
        ToolClass.COMMAND: "bash exec install_deps shell shell_exec",
        ToolClass.FILE: "create_file delete_file edit edit_file rename_file write write_file",
        ToolClass.NETWORK: "browser fetch http http_request network_call web_fetch",
        ToolClass.SCHEDULE: "modify_cron",
        ToolClass.VCS: "create_branch git_commit git_push",
    },
    Risk.RED: {
        ToolClass.COMMAND: "destructive_shell",
        ToolClass.DATABASE: "database_write drop_table",
        ToolClass.DEPLOY: "deploy deploy_prod modify_prod_config",
        ToolClass.FILE: "rm_rf",
        ToolClass.MESSAGING: "message post_linkedin post_social publish send_email send_message tweet",
        ToolClass.NETWORK: "external_api_write gateway",
        ToolClass.PAYMENT: "payment",
        ToolClass.SCHEDULE: "cron",
        ToolClass.SECRETS: "access_secrets read_env",
        ToolClass.SPAWN: "spawn_agent",
        ToolClass.VCS: "git_force_push",
    },
}


class Tool(NamedTuple):
    risk: Risk
    tool_class: ToolClass
    known: bool


CATALOGUE: dict[str, Tool] = {
    name: Tool(risk, tool_class, True)
    for risk, classes in SEED.items()
    for tool_class, names in classes.items()
    for name in names.split()
}


class Overlay(Struct, frozen=True):
    """A tenant's entry: a name or glob with its class. It adds names and raises known ones; it never lowers."""

    tool: str
    risk: Risk
    tool_class: ToolClass = ToolClass.UNKNOWN


class Catalogue:
    """Answers which class a tool has for one tenant, one version's manifest and one kind of environment."""

    def __init__(
        self,
        *,
        production: bool,
        overlays: Iterable[Overlay] = (),
        manifest: Mapping[str, Risk] | None = None,
    ) -> None:
        self.production = production
        self._overlays = tuple(
            Overlay(normalised(overlay.tool), overlay.risk, overlay.tool_class) for overlay in overlays
        )
        self._manifest: dict[str, Risk] = {}
        for name, risk in (manifest or {}).items():
            key = normalised(name)
            self._manifest[key] = max(risk, self._manifest.get(key, risk))
        self._found: dict[str, Tool] = {}

    def tool(self, name: str) -> Tool:
        """Return the class of a tool before its arguments are looked at."""
        found = self._found.get(name)
        if found is None:
            found = self._classify(normalised(name))
            if len(self._found) >= KEPT:
                self._found.clear()
            self._found[name] = found
        return found

    def _classify(self, name: str) -> Tool:
        seed = CATALOGUE.get(name)
        risks = [seed.risk] if seed else []
        tool_class = seed.tool_class if seed else ToolClass.UNKNOWN
        for overlay in self._overlays:
            if fnmatchcase(name, overlay.tool):
                risks.append(overlay.risk)
                if tool_class == ToolClass.UNKNOWN:
                    tool_class = overlay.tool_class
        known = bool(risks)
        if not known:
            risks.append(Risk.RED if self.production else Risk.YELLOW)
            # `mcp__mail__send_email` or `gmail.send_email`: a prefix must not make a red tool yellow.
            last = CATALOGUE.get(last_part(name))
            if last:
                risks.append(last.risk)
                tool_class = last.tool_class
        if name in self._manifest:
            risks.append(self._manifest[name])
        return Tool(max(risks), tool_class, known)


def normalised(name: str) -> str:
    """Return the name as it is compared: without case, `-` and space as `_`."""
    return name.casefold().replace("-", "_").replace(" ", "_")


def last_part(name: str) -> str:
    for separator in ("__", ".", "/", ":"):
        name = name.rpartition(separator)[2]
    return name
