"""The words of instances' names, for a search that an index answers behind the wall.

Row-level security lets no index be used for what is not leakproof, and neither full-text matching (`@@`) nor LIKE is;
comparisons of text are. A trigger keeps the words (`registry_words`); the application only reads them.
"""

import re

from django.db import models

from arm import db
from arm.keys import Keys, keys_of
from arm.models import Tenant

_BETWEEN = re.compile(r"[^0-9a-z\u0080-\U0010ffff]+")
"""What stands between words: whatever is ASCII and neither letter nor figure. PostgreSQL reads the pattern alike."""
LAST = "\U0010ffff"
MOST = 8
FEW = 10_000
"""So many instances with a word are named by their keys: looking at the newest of a million until fifty have it takes
seconds where the oldest have it. Of more, the newest are soon found by looking at them."""


class InstanceWordQuerySet(models.QuerySet["InstanceWord"]):
    def few(self, word: str) -> Keys | None:
        """The keys of the instances that have a word which begins so; None where they are many. One look at an index."""
        return keys_of(self.filter(word__gte=word, word__lt=word + LAST).values_list("instance_id"), most=FEW)


class InstanceWord(models.Model):
    """An instance has a word in its name."""

    application_may = db.READS

    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, related_name="+", editable=False, db_constraint=False, db_index=False
    )
    word = models.CharField(max_length=160, db_collation="C")
    instance = models.ForeignKey(
        "registry.AgentInstance", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )

    objects = models.Manager.from_queryset(InstanceWordQuerySet)()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "word", "instance"], name="instance_word"),
            models.Index(fields=["instance", "word"], name="word_of_instance"),
        ]

    def __str__(self) -> str:
        return self.word


class InstanceLabelQuerySet(models.QuerySet["InstanceLabel"]):
    def few(self, key: str, value: str | None = None) -> Keys | None:
        """The keys of the instances that have this label, with this value if one is given; None where they are many."""
        named = f"{key}="
        said = {"label__gte": named, "label__lt": named + LAST} if value is None else {"label": named + value}
        return keys_of(self.filter(**said).values_list("instance_id"), most=FEW)


class InstanceLabel(models.Model):
    """An instance has a label, written `name=value`: a question to the labels themselves no index could answer."""

    application_may = db.READS

    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, related_name="+", editable=False, db_constraint=False, db_index=False
    )
    label = models.CharField(max_length=401, db_collation="C")
    instance = models.ForeignKey(
        "registry.AgentInstance", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )

    objects = models.Manager.from_queryset(InstanceLabelQuerySet)()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "label", "instance"], name="instance_label"),
            models.Index(fields=["instance"], name="label_of_instance"),
        ]

    def __str__(self) -> str:
        return self.label


def words_of(text: str) -> list[str]:
    """What is searched for, cut as the trigger cuts names: at most eight words."""
    return list(dict.fromkeys(word for word in _BETWEEN.split(text.lower()) if word))[:MOST]


def begins(word: str) -> str:
    """A pattern for texts that have a word which begins so."""
    return f"(^|{_BETWEEN.pattern.removesuffix('+')}){word}"
