"""A processor of its own for each gateway process.

One process has one interpreter lock, so it cannot use two processors at once; left free, its threads hand the lock from
processor to processor, and each handover wakes an idle one. On two cores that costs more than the decisions themselves
(docs/adr/0020). The database and everything else stay free to run wherever there is room.
"""

import hashlib
import logging
import os
import socket

log = logging.getLogger("arm")
_held: list[socket.socket] = []


def keep_to_one(group: str) -> int | None:
    """Bind this process, and the threads it starts from now on, to one processor; returns which.

    Processes of one group take different processors as long as there are enough. None where that cannot be done: on
    another system than Linux, or with one processor only.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        return None
    name = hashlib.sha256(group.encode()).hexdigest()[:16]
    first = int(name[:4], 16)  # two installations on one machine do not both begin with the first processor
    chosen = processors[(first + _place(name)) % len(processors)]
    os.sched_setaffinity(0, {chosen})
    return chosen


def _place(name: str) -> int:
    """The lowest number that no living process of the group holds. The kernel lets go of it when the process ends."""
    number = 0
    while True:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind(f"\0arm-{name}-{number}")
        except OSError:
            holder.close()
            number += 1
            continue
        _held.append(holder)
        return number
