"""A far page found by keys holds the very rows that counting them off would."""

import pytest
from django.core.paginator import EmptyPage, Paginator
from django.db.models import QuerySet

from arm.models import Membership, User
from arm.views.base import DeepPaginator
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
