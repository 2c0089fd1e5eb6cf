"""The rules of MCP's server.json (2025-12-11) that a reference without packages or remotes can break.

Restated from the registry's reference by hand: the published file cannot be fetched where the tests run.
"""

TEXT = {"type": "string"}
TRANSPORT = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["stdio", "streamable-http", "sse"]}},
}
SERVER_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["name", "description", "version"],
    "properties": {
        "$schema": {
            "type": "string",
            "pattern": "^https://static[.]modelcontextprotocol[.]io/schemas/[0-9-]+/",
        },
        "name": {
            "type": "string",
            "minLength": 3,
            "maxLength": 200,
            "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$",
        },
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {"type": "string", "maxLength": 255, "not": {"pattern": "^[\\^~>=<]|[.][x*]$"}},
        "packages": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["registryType", "identifier", "transport"],
                "properties": {
                    "registryType": TEXT,
                    "identifier": TEXT,
                    "version": {"type": "string", "minLength": 1, "not": {"const": "latest"}},
                    "fileSha256": {"type": "string", "pattern": "^[a-f0-9]{64}$"},
                    "transport": TRANSPORT,
                },
            },
        },
        "remotes": {"type": "array", "items": TRANSPORT},
        "repository": {"type": "object", "required": ["url", "source"]},
        "_meta": {
            "type": "object",
            "properties": {"io.modelcontextprotocol.registry/publisher-provided": {"type": "object"}},
        },
    },
}
