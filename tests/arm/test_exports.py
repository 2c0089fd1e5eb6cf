"""What leaves as a file: for who may export, only of what they may export, and never unnoticed."""

import csv
import io
import re
from datetime import date

import pytest
from django.contrib import admin
from django.db import transaction
from django.urls import get_resolver, reverse

from arm.admin import ScopedAdmin
from arm.models import SecurityEvent
from arm.rights import Right
from arm.views import FilteredList, base
from costs.models import CapBreach
from costs.views import SpendPage
from federation.models import InstanceReport
from registry.models import DirectoryRules, Project
from tests import make
from tests.test_architecture import PART, routes

pytestmark = pytest.mark.django_db

LISTS = sorted(
    path
    for path, callback in routes(get_resolver().url_patterns)
    if not PART.search(path)
    and (view := getattr(callback, "view_class", None)) is not None
    and ((issubclass(view, FilteredList) and view.columns) or issubclass(view, SpendPage))
)
EXPORTED_IN_ADMIN = sorted(
    (
        model._meta.label_lower.replace(".", "_")
        for model, site in admin.site._registry.items()
        if isinstance(site, ScopedAdmin) and site.export_columns
    ),
)


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme):
    """Everything there is to see and to take away."""
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def vera(acme):
    """Everything but the right to export."""
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, *(right for right in Right if right is not Right.EXPORT))
    return vera


def each(names):
    """One after the other on the same rows; what one of them leaves behind, the next does not find."""
    for name in names:
        with transaction.atomic():
            yield name
            transaction.set_rollback(True)


def taken():
    return SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED)


def test_the_sweeps_know_every_list():
    assert len(LISTS) >= 15 and {"/changes/", "/costs/", "/incidents/", "/registry/versions/"} <= set(LISTS)
    assert len(EXPORTED_IN_ADMIN) >= 8


def test_who_may_not_export_finds_no_button_and_a_refused_address(client, acme, vera):
    make.one_of_each(acme)
    for path in each(LISTS):
        client.force_login(vera)
        page = client.get(path)
        assert page.status_code == 200 and "format=csv" not in page.content.decode(), path

        refused = client.get(f"{path}?format=csv")
        assert refused.status_code == 403 and refused["Content-Type"].startswith("text/html"), path
        assert not taken().exists(), path
        note = SecurityEvent.objects.get(kind=SecurityEvent.Kind.REFUSED)
        assert (note.user_id, note.tenant_id) == (vera.pk, acme.pk), path


def test_a_list_that_offers_a_file_gives_it_and_notes_who_took_how_much(client, acme, alice):
    make.one_of_each(acme)
    for path in each(LISTS):
        client.force_login(alice)
        offered = re.search(r'href="([^"]*format=csv[^"]*)"', client.get(path).content.decode())
        assert offered, f"{path}: a list with columns has a button for its file"

        href = offered[1].replace("&amp;", "&")
        answer = client.get(href if href.startswith("/") else path + href)
        assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv"), path
        rows = list(csv.reader(io.StringIO(answer.content.decode())))
        note = taken().get()
        assert (note.user_id, note.tenant_id, note.detail["rows"]) == (alice.pk, acme.pk, len(rows) - 1), path
        assert "format=csv" in note.detail["query"], path


def test_the_admin_exports_for_who_may_and_for_nobody_else(client, acme, alice, vera):
    rows = make.one_of_each(acme)
    make.workload_token(rows["ins"])
    make.version_approval("frank", rows["ver"])
    DirectoryRules.objects.create(tenant=acme)
    Project.objects.create(tenant=acme, slug="growth", name="Growth")
    make.job(acme, "ticket-4711", rows["ins"])
    CapBreach.objects.create(
        tenant=acme,
        cap=rows["cap"],
        day=date(2026, 1, 2),
        amount_picos=1,
        incident_id=rows["inc"].pk,
        restricted=False,
    )
    InstanceReport.objects.create(
        tenant=acme, provider=rows["prov"], external_id="one", state="Active", generation=1, epoch=1, seq=1
    )
    for name in each(EXPORTED_IN_ADMIN):
        url = reverse(f"admin:{name}_changelist")
        for person, may in ((vera, False), (alice, True)):
            client.force_login(person)
            page = client.get(url)
            chosen = [str(row.pk) for row in page.context["cl"].result_list]
            assert chosen and (b'value="export_csv"' in page.content) is may, name
            answer = client.post(url, {"action": "export_csv", "_selected_action": chosen})
            assert answer["Content-Type"].startswith("text/csv") is may, (name, person)
            assert taken().exists() is may, name


def test_a_file_holds_only_what_the_person_may_take_away(client, acme):
    mine, other = make.template("mine"), make.template("other")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    make.grant(bob, mine, Right.EXPORT)
    client.force_login(bob)

    page = client.get("/registry/templates/").content.decode()
    assert mine.name in page and other.name in page
    text = client.get("/registry/templates/?format=csv").content.decode()
    assert mine.typeid in text and other.typeid not in text
    assert taken().get().detail["rows"] == 1


def test_who_reads_the_audit_stream_finds_the_exports_of_their_tenant_and_no_sign_ins(client, acme, alice):
    client.force_login(alice)
    client.get("/registry/templates/?format=csv")
    SecurityEvent.objects.create(kind=SecurityEvent.Kind.SIGN_IN_FAILED, label="somebody")
    other = make.tenant("other")
    hidden = SecurityEvent.objects.create(
        kind=SecurityEvent.Kind.EXPORTED, label="theirs", tenant_id=other.pk
    )
    log = client.get(reverse("admin:arm_securityevent_changelist"))
    assert [row.label for row in log.context["cl"].result_list] == ["templatelist"]
    assert client.get(reverse("admin:arm_securityevent_change", args=[hidden.pk])).status_code in {302, 403}


def test_a_list_of_more_rows_than_a_file_takes_is_refused_in_words_and_not_cut(
    client, acme, alice, monkeypatch
):
    monkeypatch.setattr(base, "CSV_ROWS", 2)
    for slug in ("one", "two", "three"):
        make.template(slug, name=slug)
    client.force_login(alice)
    refused = client.get("/registry/templates/?format=csv&risk=medium")
    assert refused.status_code == 422 and refused["Content-Type"].startswith("text/html")
    page = refused.content.decode()
    assert "at most 2 rows at once. Narrow the filter." in page
    assert 'href="/registry/templates/?risk=medium"' in page and not taken().exists()

    narrowed = client.get("/registry/templates/?format=csv&q=two").content.decode()
    assert len(narrowed.splitlines()) == 2 and taken().get().detail["rows"] == 1


def test_a_list_that_fills_a_file_to_the_last_row_has_one(client, acme, alice, monkeypatch):
    monkeypatch.setattr(base, "CSV_ROWS", 2)
    for slug in ("one", "two"):
        make.template(slug)
    client.force_login(alice)
    text = client.get("/registry/templates/?format=csv").content.decode()
    assert len(text.splitlines()) == 3 and taken().get().detail["rows"] == 2


def test_the_admin_refuses_a_file_of_too_many_rows_and_says_so(client, acme, alice, monkeypatch):
    monkeypatch.setattr(base, "CSV_ROWS", 2)
    rows = [make.template(slug) for slug in ("one", "two", "three")]
    client.force_login(alice)
    url = reverse("admin:registry_agenttemplate_changelist")

    def chosen(count):
        form = {"action": "export_csv", "_selected_action": [str(row.pk) for row in rows[:count]]}
        return client.post(url, form, follow=True)

    assert "at most 2 rows at once. Narrow the filter." in chosen(3).content.decode()
    assert not taken().exists()
    assert len(chosen(2).content.decode().splitlines()) == 3 and taken().get().detail["rows"] == 2
