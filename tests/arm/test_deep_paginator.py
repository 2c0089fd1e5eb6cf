"""A far page found by keys holds the very rows that counting them off would."""

import pytest
from django.contrib.auth.models import Group
from django.core.paginator import EmptyPage, Paginator
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from arm.models import Membership, User
from arm.paging import COLLAPSED, ByKeys, cut
from arm.views.base import DeepPaginator, OncePaginator
from registry.models import DeploymentSlot
from telemetry.models import Event
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> QuerySet[User]:
    User.objects.bulk_create(User(username=f"user-{n:03}", first_name=f"name {n % 3}") for n in range(127))
    return User.objects.all()


@pytest.mark.parametrize("order", [("-pk",), ("first_name", "-pk"), ("username",)])
def test_every_page_holds_what_djangos_own_holds(people: QuerySet[User], order: tuple[str, ...]) -> None:
    ours, theirs = DeepPaginator(people.order_by(*order), 5), Paginator(people.order_by(*order), 5)
    assert ours.num_pages == theirs.num_pages == 26
    for number in theirs.page_range:
        assert list(ours.page(number).object_list) == list(theirs.page(number).object_list), number


def test_filters_and_distinct_rows_are_kept(people: QuerySet[User]) -> None:
    some = people.filter(first_name="name 1").distinct().order_by("-pk")
    pages = DeepPaginator(some, 2)
    seen = [user.pk for number in pages.page_range for user in pages.page(number).object_list]
    assert seen == [user.pk for user in some]


def test_a_far_page_needs_one_statement_beside_the_count(
    people: QuerySet[User], django_assert_num_queries: object
) -> None:
    pages = DeepPaginator(people.order_by("-pk"), 5)
    assert pages.num_pages == 26
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert len(pages.page(26).object_list) == 2


def test_a_page_that_does_not_exist_is_refused(people: QuerySet[User]) -> None:
    with pytest.raises(EmptyPage):
        DeepPaginator(people.order_by("-pk"), 5).page(27)


def test_rows_with_others_joined_are_found_by_their_keys_in_the_same_order_and_still_in_one_statement(
    people: QuerySet[User], django_assert_num_queries: object
) -> None:
    acme = make.tenant("acme")
    Membership.objects.bulk_create(Membership(tenant=acme, user=user) for user in people)
    rows = Membership.objects.select_related("user").order_by("user__first_name", "user__username")
    ours, theirs = DeepPaginator(rows, 50), Paginator(rows, 50)
    assert ours.num_pages == theirs.num_pages == 3
    for number in theirs.page_range:
        with django_assert_num_queries(1):  # type: ignore[operator]
            found = [row.user.username for row in ours.page(number).object_list]
        assert found == [row.user.username for row in theirs.page(number).object_list]


def members(people: QuerySet[User]) -> QuerySet[Membership]:
    acme = make.tenant("acme")
    Membership.objects.bulk_create(Membership(tenant=acme, user=user) for user in people)
    return Membership.objects.select_related("user", "tenant")


@pytest.mark.parametrize("part", [slice(51), slice(20, 41), slice(120, 140), slice(0, 0), slice(500, 501)])
def test_a_cut_holds_what_a_slice_holds(people: QuerySet[User], part: slice) -> None:
    for rows in (members(people).order_by("-pk"), User.objects.order_by("first_name", "pk")):
        assert cut(rows, part) == list(rows[part])
        assert ByKeys(rows)[part] == list(rows[part])


def test_what_a_cut_is_asked_is_asked_of_the_keys_alone(people: QuerySet[User]) -> None:
    rows = members(people).order_by("-pk")
    asked = {"user__first_name": "name 1"}
    with CaptureQueriesContext(connection) as sent:
        found = ByKeys(rows).filter(**asked)[slice(30)]
    assert found == list(rows.filter(**asked)[:30]) and len(found) == 30
    (statement,) = (query["sql"] for query in sent)
    assert statement.count("'name 1'") == 1 and statement.index("LIMIT 30") > statement.index("'name 1'")
    with CaptureQueriesContext(connection) as sent:
        assert {one.user.first_name for one in found} == {"name 1"}
    assert not sent


def test_a_row_that_a_relation_to_many_finds_stands_once(people: QuerySet[User]) -> None:
    """What joined the many stays when its condition is gone: a row would come once for each of them."""
    rows = members(people).order_by("-pk")
    teams = [Group.objects.create(name=f"team {n}") for n in range(3)]
    for user in people[:6]:
        user.groups.set(teams)
    asked = {"user__groups": teams[0]}
    for part in (slice(2), slice(2, 4), slice(4, 7)):
        expected = list(rows.filter(**asked)[part])
        assert cut(rows.filter(**asked), part) == ByKeys(rows).filter(**asked)[part] == expected
        assert len(expected) == 2


def test_a_row_with_more_others_than_postgresql_reorders_is_cut_all_the_same() -> None:
    made = [make.slot() for _ in range(5)]
    rows = DeploymentSlot.objects.select_related(
        "environment", "provider", "role", "current_version__template", "previous_version__template"
    ).order_by("-pk")
    with CaptureQueriesContext(connection) as sent:
        assert cut(rows, slice(1, 4)) == sorted(made, key=lambda one: one.pk, reverse=True)[1:4]
    assert "= ANY(ARRAY(" in sent[0]["sql"] and sent[0]["sql"].count("JOIN") + 2 > COLLAPSED


def test_rows_in_partitions_are_asked_for_by_what_says_in_which() -> None:
    one = make.event(make.instance())
    rows = Event.objects.select_related("template").filter(occurred_at=one.occurred_at).order_by("-event_id")
    with CaptureQueriesContext(connection) as sent:
        assert cut(rows, slice(5)) == [one]
    assert " IN (SELECT" not in sent[0]["sql"] and "ARRAY(" not in sent[0]["sql"]


def test_what_is_asked_once_answers_number_and_pages(people: QuerySet[User]) -> None:
    asked = people.filter(first_name="name 1").order_by("-pk")
    theirs = Paginator(asked, 5)
    with CaptureQueriesContext(connection) as sent:
        ours = OncePaginator(asked, 5)
        assert (ours.count, ours.num_pages) == (theirs.count, theirs.num_pages) == (42, 9)
        found = [list(ours.page(number).object_list) for number in ours.page_range]
    assert found == [list(theirs.page(number).object_list) for number in theirs.page_range]
    ours_alone = [one["sql"] for one in sent if "COUNT(" not in one["sql"]]
    assert len(ours_alone) == len(sent) - 1, "one count, and that is Django's own"
    with pytest.raises(EmptyPage):
        ours.page(10)


def test_more_than_are_known_at_once_are_counted_and_cut_as_by_others(
    people: QuerySet[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OncePaginator, "known", 40)
    asked = people.filter(first_name="name 1").order_by("-pk")
    ours, theirs = OncePaginator(asked, 5), Paginator(asked, 5)
    assert ours.keys is None and ours.num_pages == theirs.num_pages == 9
    for number in theirs.page_range:
        assert list(ours.page(number).object_list) == list(theirs.page(number).object_list)
