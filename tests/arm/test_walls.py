"""The two walls: what a right opens, and what the database refuses whoever asks."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, ProgrammingError, connection, transaction

from arm import changes, clock, db, services
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ApiKey, ChangeRecord, Membership, RoleBinding, SecurityEvent, Tenant, User
from arm.permissions import allowed, visible
from arm.rights import Right
from registry.models import AgentTemplate, AgentVersion, Genome
from tests import make

pytestmark = pytest.mark.django_db
READ = Right.READ_DIRECTORY


def test_without_a_tenant_no_row_exists():
    make.template()
    with db.tenants(()):
        assert not AgentTemplate.objects.exists() and not Tenant.objects.exists()
    assert AgentTemplate.objects.exists()


def test_rows_of_another_tenant_cannot_be_read_or_written():
    ours, theirs = make.tenant("ours"), make.tenant("theirs")
    make.template(tenant=theirs)
    with db.tenants([ours.pk]):
        assert not AgentTemplate.objects.exists()
        with pytest.raises(DatabaseError), transaction.atomic():
            AgentTemplate.objects.create(tenant_id=theirs.pk, slug="intruder", name="intruder")


def test_the_security_log_of_a_tenant_is_its_own_and_lines_of_no_tenant_are_the_platforms():
    ours, theirs = make.tenant("ours"), make.tenant("theirs")
    for label, tenant in (("nobody", None), ("ours", ours), ("theirs", theirs)):
        services.note_security(SecurityEvent.Kind.REFUSED, label, tenant=tenant)

    def labels():
        return set(SecurityEvent.objects.values_list("label", flat=True))

    with db.tenants([ours.pk]):
        assert labels() == {"ours"}
        with make.platform():
            assert labels() == {"nobody", "ours"}
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            services.note_security(SecurityEvent.Kind.REFUSED, "forged", tenant=theirs)
    with db.tenants(()):
        assert labels() == set()


@pytest.mark.parametrize("statement", ["UPDATE {} SET label = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_security_log_is_append_only_for_the_application(statement):
    services.note_security(SecurityEvent.Kind.SIGN_IN_FAILED, "mallory")
    with make.platform():
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.format("arm_securityevent"))
        assert SecurityEvent.objects.get().label == "mallory"


def test_who_administers_the_platform_reads_failed_sign_ins_and_nobody_else(client):
    acme = make.tenant("acme")
    services.note_security(SecurityEvent.Kind.SIGN_IN_FAILED, "mallory")
    address = "/admin/arm/securityevent/"
    root = make.user("root", is_superuser=True)
    client.force_login(root)
    assert "mallory" in client.get(address).content.decode()
    client.force_login(make.everything(make.user("alice", member_of=acme), acme))
    page = client.get(address)
    assert page.status_code == 200 and "mallory" not in page.content.decode()
    assert not SecurityEvent.objects.exists()


def test_the_application_is_neither_superuser_nor_past_the_wall():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False, False, False)


def test_plans_of_the_application_are_not_compiled_whatever_the_server_says():
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolconfig FROM pg_roles WHERE rolname = current_user")
        assert "jit=off" in cursor.fetchone()[0]


@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_change_records_are_append_only_for_the_application(statement):
    alice = make.user("alice")
    changes.record(alice, "test.thing.made", make.tenant(), reason="why")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format("arm_changerecord"))
    assert ChangeRecord.objects.get().reason == "why"


READ_ONLY = [
    "costs_ledgerentry",
    "costs_spendrollup",
    "costs_instanceday",
    "telemetry_event",
    "telemetry_job",
    "telemetry_quarantinedevent",
    "telemetry_quarantinecount",
    "policy_decision",
    "policy_touch",
    "django_migrations",
]
DELETABLE = {
    "arm_savedview",  # a question that nobody wants to keep
    "arm_defaultview",
    "arm_idempotentreply",  # forgotten after a day
    "federation_accesstoken",  # what has ended is gone a day later
    "federation_assertion",
    "federation_snapshot",
    "federation_snapshotpage",
    "evidence_pendingleaf",
    "arm_tenantgroupgrant",
    "arm_tenantusergrant",
    "arm_user_groups",
    "arm_user_user_permissions",
    "auth_group_permissions",
    "registry_dependency",
    "registry_versionparent",  # of a draft, while its builder names others
    "registry_environmentgroupgrant",
    "registry_environmentusergrant",
    "registry_providergroupgrant",
    "registry_providerusergrant",
    "registry_templategroupgrant",
    "registry_templateusergrant",
}


@pytest.mark.parametrize("table", READ_ONLY)
def test_the_application_only_reads_what_others_write(table):
    for verb in ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}"):
        refused = pytest.raises(ProgrammingError, match="denied")
        with refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(verb.format(table))
    assert _may("UPDATE") & {table} == set()


def test_the_application_deletes_nowhere_but_where_its_code_does():
    ours = {table for table in _may("DELETE") if not table.startswith(("django_session", "django_q_"))}
    assert ours == DELETABLE
    assert _may("TRUNCATE") == _may("REFERENCES") == _may("TRIGGER") == set()
    with pytest.raises(ProgrammingError, match="denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM registry_instanceinterval")


def _may(privilege):
    """Tables on which the application's role holds it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            " AND has_table_privilege(oid, %s)",
            [privilege],
        )
        return {name for (name,) in cursor.fetchall()}


def test_a_genome_cannot_be_changed_or_deleted():
    genome = make.genome()
    for attempt in (lambda: Genome.objects.update(digest="sha256:0"), genome.delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def test_from_testing_on_a_version_keeps_its_genome():
    version = make.version()
    other = make.genome(template=version.template)
    AgentVersion.objects.filter(pk=version.pk).update(genome=other)  # a draft may be repointed
    AgentVersion.objects.filter(pk=version.pk).update(state="testing")
    with pytest.raises(DatabaseError), transaction.atomic():
        AgentVersion.objects.filter(pk=version.pk).update(genome=version.genome)


def test_visible_and_allowed_agree_for_every_kind_of_actor(django_assert_max_num_queries):
    acme = make.tenant("acme")
    mine, sibling, other = make.version(), make.version(), make.version()
    alice, olga, gus, root, gone, late, early, low = (make.user() for _ in range(8))
    make.grant(alice, mine.template, READ)
    make.grant(olga, acme, READ)
    boss = make.everything(make.user("boss", member_of=acme), acme)
    Membership.objects.create(tenant=acme, user=gus)
    team = services.create_team(tenant=acme, name="Night", members=[gus], actor=boss, reason="shift").group
    services.bind(principal=team, role="viewer", scope=other.template, actor=boss, reason="team work")
    root.is_superuser = True
    gone.is_active = False
    make.grant(gone, mine.template, READ)
    make.grant(late, mine.template, READ, expires_at=clock.now() - timedelta(seconds=1))
    make.grant(early, mine.template, READ, not_before=clock.now() + timedelta(hours=1))
    AgentTemplate.objects.filter(pk=other.template_id).update(risk="critical")
    make.grant(low, acme, READ, risk_max="medium")

    expected = {
        alice: {mine},
        olga: {mine, sibling, other},
        gus: {other},
        root: {mine, sibling, other},
        gone: set(),
        late: set(),
        early: set(),
        low: {mine, sibling},
        AnonymousUser(): set(),
    }
    for actor, versions in expected.items():
        assert set(visible(AgentVersion.objects.all(), actor, READ)) == versions, actor
        assert {v for v in (mine, sibling, other) if allowed(actor, READ, v)} == versions, actor
    with django_assert_max_num_queries(2):
        list(visible(AgentVersion.objects.for_list(), olga, READ))


def test_a_right_on_one_template_opens_no_other():
    mine, other = make.template(), make.template()
    alice = make.user("alice")
    make.grant(alice, mine, READ)
    assert allowed(alice, READ, mine) and not allowed(alice, READ, other)


class TestBinding:
    @pytest.fixture
    def acme(self):
        return make.tenant("acme")

    @pytest.fixture
    def alice(self, acme):
        alice = make.user("alice", member_of=acme)
        make.grant(alice, acme, Right.BIND_ROLE, Right.MANAGE_TENANT)
        return alice

    @pytest.fixture
    def bob(self, acme):
        return make.user("bob", member_of=acme)

    def test_a_role_gives_its_rights_on_the_scope_and_is_recorded(self, acme, alice, bob):
        prod = make.environment("prod")
        services.bind(principal=bob, role="fleet_operator", scope=prod, actor=alice, reason="on call")
        assert allowed(bob, Right.RESTRICT_INSTANCE, prod) and not allowed(bob, Right.RESTRICT_INSTANCE, acme)
        assert ChangeRecord.objects.get(verb="arm.role.bound").after["role"] == "fleet_operator"

    def test_nobody_binds_to_themselves(self, acme, alice):
        with pytest.raises(NotAllowed):
            services.bind(principal=alice, role="approver", scope=acme, actor=alice, reason="me")

    def test_a_stranger_binds_nobody(self, acme, bob):
        with pytest.raises(NotAllowed):
            services.bind(principal=bob, role="viewer", scope=acme, actor=make.user("mallory"), reason="x")

    def test_an_auditor_holds_no_role_that_writes(self, acme, alice, bob):
        services.bind(principal=bob, role="auditor", scope=acme, actor=alice, reason="audit")
        with pytest.raises(Conflict):
            services.bind(principal=bob, role="author", scope=acme, actor=alice, reason="x")

    def test_a_person_holds_no_machine_role(self, acme, alice, bob):
        with pytest.raises((Invalid, NotAllowed)):
            services.bind(principal=bob, role="provider_service", scope=acme, actor=alice, reason="x")

    def test_somebody_who_is_no_member_holds_no_role(self, acme, alice):
        with pytest.raises(Invalid):
            services.bind(principal=make.user("carol"), role="viewer", scope=acme, actor=alice, reason="x")

    def test_ending_a_binding_ends_its_rights_and_keeps_the_row(self, acme, alice, bob):
        binding = services.bind(principal=bob, role="viewer", scope=acme, actor=alice, reason="look")
        services.unbind(binding=binding, actor=alice, reason="done")
        assert not allowed(bob, READ, acme)
        assert RoleBinding.objects.get(pk=binding.pk).ended_at is not None

    def test_leaving_the_tenant_ends_every_binding(self, acme, alice, bob):
        services.bind(principal=bob, role="viewer", scope=acme, actor=alice, reason="look")
        services.remove_member(member=Membership.objects.get(user=bob), actor=alice, reason="left")
        assert not allowed(bob, READ, acme)


def test_an_api_key_is_stored_as_its_hash_only():
    acme = make.tenant()
    alice = make.everything(make.user("alice", member_of=acme), acme)
    issued = services.issue_key(
        tenant=acme, kind=ApiKey.Kind.SERVICE, name="ci", actor=alice, user=alice, reason="ci"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM arm_apikey k")
        assert issued.token not in cursor.fetchone()[0]
    assert issued.token.startswith("arms_") and len(issued.token) == 47


def test_a_key_acts_as_a_service_account_or_as_who_makes_it():
    acme = make.tenant()
    alice = make.everything(make.user("alice", member_of=acme), acme)
    bob, robot = make.user("bob", member_of=acme), make.user("ci", member_of=acme, kind=User.Kind.SERVICE)

    def issue(user, actor):
        return services.issue_key(
            tenant=acme, kind=ApiKey.Kind.PERSONAL, name="k", actor=actor, user=user, reason="scripts"
        )

    with pytest.raises(NotAllowed, match="makes their own"):
        issue(bob, alice)
    assert not ApiKey.objects.exists()
    assert [issue(user, alice).key.user for user in (alice, robot)] == [alice, robot]


def test_only_partitions_belong_to_the_ingest_role():
    with connection.cursor() as cursor, pytest.raises(ProgrammingError), transaction.atomic():
        cursor.execute("CREATE TABLE partitions.x (id int)")
