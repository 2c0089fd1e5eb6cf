"""Many keys go from one question to the next as the database wrote them; too many are said to be too many."""

import pytest
from django.db import connection
from django.db.models import Q, Value
from django.db.models.fields import UUIDField
from django.test.utils import CaptureQueriesContext

from arm.keys import Among, keys_of
from registry.models import AgentTemplate
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def agents():
    make.tenant("acme")
    return [make.template(f"agent-{n}") for n in range(4)]


def of(*slugs):
    return AgentTemplate.objects.filter(slug__in=slugs).values_list("pk")


def named(keys):
    return set(AgentTemplate.objects.filter(Among("pk", keys)).values_list("slug", flat=True))


def test_as_many_as_are_wanted_are_named_and_found_again(agents):
    found = keys_of(of("agent-0", "agent-2"), most=2)
    assert len(found) == 2
    assert named(found) == {"agent-0", "agent-2"}


def test_one_more_than_is_wanted_is_too_many(agents):
    assert keys_of(of("agent-0", "agent-1", "agent-2"), most=2) is None


def test_two_questions_are_asked_in_one_statement_and_a_key_of_both_counts_once(agents):
    with CaptureQueriesContext(connection) as asked:
        found = keys_of(of("agent-0", "agent-1"), of("agent-1", "agent-3"), most=3)
    assert len(asked) == 1
    assert (len(found), named(found)) == (3, {"agent-0", "agent-1", "agent-3"})


def test_a_question_that_nothing_can_fit_is_not_asked_and_names_nothing(agents):
    with CaptureQueriesContext(connection) as asked:
        found = keys_of(AgentTemplate.objects.none().values_list("pk"), most=3)
    assert (len(asked), len(found)) == (0, 0)
    assert named(found) == set()


def test_a_question_that_finds_nothing_names_nothing_and_its_opposite_is_everybody(agents):
    found = keys_of(of("nobody"), most=3)
    assert len(found) == 0
    assert named(found) == set()
    assert AgentTemplate.objects.filter(~Q(Among("pk", found))).count() == len(agents)


def test_a_key_that_is_missing_names_nobody(agents):
    without = AgentTemplate.objects.annotate(other=Value(None, UUIDField())).values_list("other")
    assert named(keys_of(without, most=len(agents))) == set()
    assert named(keys_of(of("agent-1"), without, most=9)) == {"agent-1"}


def test_the_question_is_asked_once_however_often_its_answer_is_read(agents):
    """Each of its evaluations would take a number of the sequence."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY SEQUENCE evaluations")
        counted = of("agent-0", "agent-1").extra(where=["nextval('evaluations') > 0"])
        keys_of(counted, most=2)
        cursor.execute("SELECT last_value FROM evaluations")
        assert cursor.fetchone() == (2,)  # one for each of two rows
