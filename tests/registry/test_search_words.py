"""What the search of the lists finds: by words, by owners and tags, and behind the wall by an index."""

import re

import pytest
from django.db import ProgrammingError, connection, transaction
from django.utils.datastructures import MultiValueDict

from arm import db
from registry.filters import InstanceFilter, TemplateFilter
from registry.models import AgentInstance, AgentTemplate, InstanceWord, Ownership, words
from tests import make

pytestmark = pytest.mark.django_db


def instances(text):
    found = InstanceFilter(MultiValueDict({"q": [text]}), queryset=AgentInstance.objects.all())
    return {row.name for row in found.qs}


def agents(text):
    found = TemplateFilter(MultiValueDict({"q": [text]}), queryset=AgentTemplate.objects.all())
    return {row.slug for row in found.qs}


@pytest.mark.parametrize("few", [1000, 0], ids=["by keys", "by looking"])
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("supp", {"Support-Triage-1", "support_triage 2"}),
        ("TRIAGE", {"Support-Triage-1", "support_triage 2"}),
        ("supp 2", {"support_triage 2"}),
        ("triage-1", {"Support-Triage-1"}),
        ("größe", {"Größe 7"}),
        ("агент 9", {"агент-9"}),
        ("東", {"東京"}),
        ("port", set()),
        ("-- %", set()),
        ("nothing", set()),
    ],
)
def test_instances_are_found_by_how_words_of_their_names_begin(monkeypatch, few, text, names):
    monkeypatch.setattr(words, "FEW", few)
    for name in ("Support-Triage-1", "support_triage 2", "Größe 7", "агент-9", "東京"):
        make.instance(name=name)
    assert instances(text) == names


def test_a_renamed_instance_is_found_by_its_new_name_alone():
    row = make.instance(name="before")
    row.name = "after"
    row.save(update_fields=["name"])
    assert (instances("before"), instances("after")) == (set(), {"after"})


def test_the_words_are_walled_and_written_by_the_database_alone():
    make.instance(name="secret")
    other = make.tenant("other")
    with db.tenants([other.pk]):
        assert not InstanceWord.objects.exists() and instances("secret") == set()
    for statement in ("DELETE FROM registry_instanceword", "UPDATE registry_instanceword SET word = 'x'"):
        with (
            pytest.raises(ProgrammingError, match="denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_the_words_are_found_by_their_index_behind_the_wall():
    make.instance(name="needle")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    few = InstanceWord.objects.filter(word__gte="needle", word__lt="needle" + words.LAST)
    plan = few.values("instance_id").explain()
    condition = plan.partition("Index Cond")[2].partition("\n")[0]
    assert re.search(r"\bword\)?(::text)? >= 'needle'", condition), plan


def test_agents_are_found_by_purpose_tag_and_owner_too():
    alice = make.user("alice")
    triage = make.template("triage", intended_use="Sorts letters", tags=["payments"])
    make.template("other")
    Ownership.objects.create(tenant=triage.tenant, template=triage, user=alice)
    for text in ("letters", "payments", "alice", "alice payments", triage.typeid, "tri"):
        assert agents(text) == {"triage"}, text
    assert agents("alice other") == set()


def test_of_several_words_the_one_that_few_have_is_looked_up_however_short_it_is(monkeypatch):
    monkeypatch.setattr(words, "FEW", 2)
    for number in (1, 2, 3, 77):
        make.instance(name=f"instance {number}")
    found = InstanceFilter(MultiValueDict({"q": ["instance 77"]}), queryset=AgentInstance.objects.all()).qs
    assert "= ANY(" in str(found.query)
    assert [row.name for row in found] == ["instance 77"]
    assert "= ANY(" not in str(
        InstanceFilter(MultiValueDict({"q": ["instance"]}), queryset=AgentInstance.objects.all()).qs.query
    )
