"""What evidence is asked: proofs, and whether everything still fits."""

from .proofs import consistency_proof, inclusion_proof
from .verifying import Finding, findings

__all__ = ["Finding", "consistency_proof", "findings", "inclusion_proof"]
