"""What is kept of how many live instances a version has is what counting them would say, whatever changes them."""

import pytest
from django.db import ProgrammingError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arm import clock, db
from arm.inserting import insert_all
from arm.models import ChangeRecord, Tenant
from registry import queries, services, tasks
from registry.models import AgentInstance, AgentVersion, LiveCount
from registry.protocol.rows import InstanceRow
from tests import make
from tests.registry.counting import agree, kept

pytestmark = pytest.mark.django_db
STATES = ("provisioning", "active", "paused", "draining", "quarantined", "retired")


def test_an_instance_counts_from_its_first_day_to_its_last():
    one = make.instance(state="provisioning")
    key = (one.version_id, one.environment_id)
    for state in ("active", "paused", "quarantined", "draining"):
        AgentInstance.objects.filter(pk=one.pk).update(state=state)
        assert kept() == {key: 1}
    AgentInstance.objects.filter(pk=one.pk).update(state="retired")
    assert not kept() and not LiveCount.objects.exists(), "nothing is kept of nothing"


def test_one_that_moves_takes_its_count_along():
    one, other = make.instance(), make.approved()
    AgentInstance.objects.filter(pk=one.pk).update(version=other)
    assert kept() == {(other.pk, one.environment_id): 1}


def test_a_change_of_something_else_writes_nothing():
    one = make.instance()
    before = list(LiveCount.objects.values())
    AgentInstance.objects.filter(pk=one.pk).update(name="another", cost_center="7")
    assert list(LiveCount.objects.values()) == before


def test_a_version_has_one_row_however_many_changes_there_were():
    version, places = make.approved(), [make.environment(slug) for slug in ("dev", "prod")]
    for place in places * 5:
        make.instance(version=version, environment=place)
    (row,) = LiveCount.objects.all()
    assert (sorted(row.counts), row.live) == ([5, 5], 10)
    assert set(row.places) == {place.pk for place in places}


def test_many_that_come_in_one_statement_are_counted_as_singly_made_ones():
    versions, place, host = (
        [make.approved(), make.approved()],
        make.environment("dev"),
        make.provider("cloud"),
    )
    rows = [
        AgentInstance(
            tenant_id=version.tenant_id, version=version, template_id=version.template_id, environment=place,
            provider=host, name=f"n{number}", state=state, state_since=clock.now(),
        )
        for number, state in enumerate(STATES) for version in versions
    ]  # fmt: skip
    insert_all(rows)
    assert agree() and set(kept().values()) == {len(STATES) - 1}


def test_what_a_table_provisions_and_what_retires_is_counted(tenant, alice):
    version, place, host = make.approved(), make.environment("dev"), make.provider("cloud")
    rows = [
        InstanceRow(at=n, name=f"desk-{n}", version=version.pk, environment=place.slug, provider=host.slug)
        for n in range(20)
    ]
    made = services.provision_instances(tenant=tenant, rows=rows, actor=alice, reason="r")
    assert kept() == {(version.pk, place.pk): 20}
    services.move_instance(instance=made[0], to="retired", actor=alice, reason="never began")
    assert agree() and kept() == {(version.pk, place.pk): 19}


def test_what_did_not_happen_is_not_counted():
    one = make.instance()
    before = kept()
    with pytest.raises(RuntimeError), transaction.atomic():
        make.instance(version=one.version)
        assert kept() != before
        raise RuntimeError
    assert kept() == before


def test_a_list_of_versions_says_what_is_kept():
    one = make.instance()
    for state in ("active", "retired"):
        make.instance(version=one.version, state=state)
    none = make.approved(template=one.template)
    found = queries.with_live(AgentVersion.objects.filter(template=one.template).order_by("number"))
    assert [(row.pk, row.live) for row in found] == [(one.version_id, 2), (none.pk, 0)]


def test_what_went_wrong_behind_the_triggers_is_mended_by_night_and_recorded(tenant):
    """As after a dump that was loaded with the triggers on."""
    one, other = make.instance(), make.instance()
    with make.as_the_owner():
        for row, n in ((one, 7), (other, -1)):
            LiveCount.objects.create(
                tenant=tenant, version=row.version, places=[row.environment_id], counts=[n], live=n
            )
    assert kept() == {(one.version_id, one.environment_id): 8}
    assert tasks.sweep(tenant_id=tenant.pk) > 0
    assert agree() and len(kept()) == 2
    record = ChangeRecord.objects.get(verb="registry.live_counts.corrected")
    assert record.after == {"versions": 2}
    assert services.recount_live(tenant_id=tenant.pk) == 0, "and once"
    assert ChangeRecord.objects.filter(verb="registry.live_counts.corrected").count() == 1


def test_the_counts_are_walled_and_written_by_the_database_alone():
    make.instance()
    other = make.tenant("other")
    with db.tenants([other.pk]):
        assert not LiveCount.objects.exists()
    for statement in (
        "DELETE FROM registry_livecount",
        "UPDATE registry_livecount SET live = 7",
        "SELECT registry_add_live('{}', '{}', '{}', '{}')",
    ):
        with (
            pytest.raises(ProgrammingError, match="denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 5), min_size=1, max_size=4),
            st.sampled_from(STATES),
            st.integers(0, 2),
        ),
        max_size=8,
    )
)
def test_whatever_statements_change_they_agree(
    acme: Tenant, changes: list[tuple[list[int], str, int]]
) -> None:
    with transaction.atomic():
        versions = [make.approved() for _ in range(3)]
        places = [make.environment("dev"), make.environment("prod")]
        fleet = [make.instance(version=versions[0], environment=places[n % 2]) for n in range(6)]
        for numbers, state, version in changes:
            AgentInstance.objects.filter(pk__in=[fleet[number].pk for number in numbers]).update(
                state=state, version=versions[version]
            )
            assert agree()
        transaction.set_rollback(True)
