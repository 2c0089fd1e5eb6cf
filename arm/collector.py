"""Python's garbage collector in a serving process."""

import gc

from django.urls import get_resolver

PAGES = 5_000
"""How often a process that serves pages and the API looks for cycles."""


def keep_loaded(*, every: int) -> None:
    """What was loaded stays: the collector need not walk it again while somebody waits for an answer.

    A full walk over code, models and addresses takes a quarter of a second, in the middle of some request. Addresses
    and what answers them are loaded first, so that they are among what stays. A request's own objects (of a batch of
    spans, some 20,000) live together and go together: looking for cycles among every 700 finds none. A page leaves some
    3,000 in cycles: looked for among `every` so many new objects, since 50,000 of them hold up one page in thirteen by
    a twentieth of a second.
    """
    get_resolver().reverse_dict  # noqa: B018 - is filled when it is asked for
    gc.collect()
    gc.freeze()
    gc.set_threshold(every, 20, 50)
