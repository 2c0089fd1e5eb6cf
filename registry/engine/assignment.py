"""Which of two versions a key gets while a canary runs: the same answer every time, wherever it is asked."""

import hashlib
from typing import Final
from uuid import UUID

BUCKETS: Final = 10_000


def bucket(slot: UUID, rollout: UUID, key: str) -> int:
    """Where a key falls, 0..9999. It depends on the rollout too, so that not always the same keys are the first to try
    something new."""
    seen = hashlib.sha256(slot.bytes + rollout.bytes + key.encode()).digest()
    return int.from_bytes(seen[:8]) % BUCKETS


def chosen(slot: UUID, rollout: UUID, key: str, percent: int) -> bool:
    """Whether the key gets the new version at this share. Who is in at 5 % stays in at 25 %."""
    return bucket(slot, rollout, key) < percent * BUCKETS // 100
