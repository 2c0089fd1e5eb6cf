"""What a signed BOM says: a CycloneDX document as the predicate of an in-toto statement about the genome."""

import json
from hashlib import sha256
from typing import Final

from evidence.signing import dsse

from ..genome import Json
from ..models import AgentVersion
from ..protocol import cyclonedx
from ..protocol.common import Subject

BOM: Final = "https://cyclonedx.org/bom"


def bom_statement(version: AgentVersion, about: Subject, document: dict[str, Json], spec: str) -> bytes:
    """The statement about the version's genome: canonical bytes, ready to be signed."""
    return dsse.statement(
        subjects={"genome.json": sha256(bytes(version.genome.content)).hexdigest()},
        predicate_type=BOM,
        predicate=json.loads(cyclonedx.bom(about, document, spec)),
    )
