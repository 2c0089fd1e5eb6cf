"""Signed BOMs of a stranger: an in-toto statement in a DSSE envelope, opened and held against this tenant's keys."""

import json

from arm.crypto import canonical
from arm.errors import Invalid, Problem
from arm.models import Tenant
from evidence.models import SigningKey
from evidence.queries import keyring_of
from evidence.signing import checking, dsse

from ..genome import Json, read
from ..queries.boms import BOM


def unsigned_bom(tenant: Tenant, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The BOM in an envelope, and what is to be said of its signature; what is no envelope comes back as it is.

    Invalid with the place where the envelope cannot be read, holds something else, or names a key of this tenant that has
    not signed it.
    """
    if b'"payloadType"' not in data:
        return data, ()
    document = read(data, media_type="application/json").document
    if "payloadType" not in document:
        return data, ()
    try:
        envelope = dsse.read(data)
        statement = dsse.read_statement(envelope.payload)
    except dsse.BadEnvelope as problem:
        raise _refused(problem.where, problem.what) from problem
    if statement.predicate_type != BOM:
        raise _refused("/payload/predicateType", f"It is not {BOM}.")
    keys = keyring_of(SigningKey.objects.filter(tenant=tenant)).of(checking.EVIDENCE)
    try:
        kid = dsse.verify(data, keys).kid
        note = f"Signed by the key {kid} of this tenant."
    except dsse.BadEnvelope as problem:
        if any(one.keyid in keys for one in envelope.signatures):
            raise _refused(problem.where, problem.what) from problem
        note = "Its signature is of a key that is not known here, and was not verified."
    predicate: Json = json.loads(envelope.payload)["predicate"]
    return canonical(predicate), (note,)


def _refused(where: str, what: str) -> Invalid:
    return Invalid(
        "The signed BOM is not imported.", [Problem(pointer=where, code="signature", message=what)]
    )
