"""What evidence is asked: proofs, and whether everything still fits."""

from .checks import checks_of, made_here
from .keyrings import a2a_keys, keyring_of, published
from .proofs import about, consistency_proof, inclusion_proof, inclusion_proofs
from .verifying import Finding, findings

__all__ = [
    "Finding",
    "a2a_keys",
    "about",
    "checks_of",
    "consistency_proof",
    "findings",
    "inclusion_proof",
    "inclusion_proofs",
    "keyring_of",
    "made_here",
    "published",
]
