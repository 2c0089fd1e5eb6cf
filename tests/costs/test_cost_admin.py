"""Costs in the admin, as FinOps and a GRC analyst of production work in them: rates and caps through their services."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from arm.models import ChangeRecord
from costs.models import Cap, CapBreach, CostModel
from tests import make

pytestmark = pytest.mark.django_db
LEDGER, DAYS, CAPS, BREACHES, RATES = (
    f"/admin/costs/{noun}/" for noun in ("ledgerentry", "spendrollup", "cap", "capbreach", "costmodel")
)


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def prod(tenant):
    return make.environment("prod")


def desk(person):
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def ivan(tenant):
    """FinOps of the tenant."""
    return desk(make.hired("ivan", "finops", tenant))


@pytest.fixture
def grace(tenant, prod):
    """GRC analyst of production only: she reads and writes no money."""
    return desk(make.hired("grace", "grc_analyst", prod))


@pytest.fixture
def runner(prod):
    return make.instance(environment=prod, name="support-07")


@pytest.fixture
def stray(tenant):
    return make.instance(environment=make.environment("dev"), name="draft-01")


def text(client, url):
    page = client.get(url, follow=True)
    assert page.status_code == 200
    return page.content.decode()


def test_the_ledger_shows_her_environment_pages_by_key_and_counts_nothing(grace, ivan, runner, stray):
    mine, theirs = make.entry(runner, "0.0040", model="gpt-4o", job="j1"), make.entry(stray, "0.0090")
    text(grace, LEDGER)
    with CaptureQueriesContext(connection) as asked:
        page = text(grace, LEDGER)
    assert mine.typeid in page and "0.004 USD" in page and theirs.typeid not in page
    (stream,) = (query["sql"] for query in asked if '"costs_ledgerentry"' in query["sql"])
    assert "count(" not in stream.lower() and '"occurred_at" >=' in stream
    assert len(asked) <= 24, len(asked)
    assert theirs.typeid in text(ivan, f"{LEDGER}?q=draft")
    assert f"{theirs.pk}/change/" not in text(grace, f"{LEDGER}?q={theirs.typeid}")
    assert "gpt-4o" in text(grace, f"{LEDGER}{mine.pk}/change/")
    assert "draft-01" not in text(grace, f"{LEDGER}{theirs.pk}/change/")
    rows = [str(mine.pk), str(theirs.pk)]
    export = grace.post(LEDGER, {"action": "export_csv", "_selected_action": rows}).content.decode()
    assert mine.typeid in export and theirs.typeid not in export


def test_the_sums_by_day_are_those_of_her_environment(grace, runner, stray):
    make.entry(runner, "0.0040")
    make.entry(stray, "0.0090")
    page = text(grace, DAYS)
    assert "0.004 USD" in page and "0.009" not in page


def test_nobody_writes_the_ledger(ivan, runner):
    entry = make.entry(runner)
    assert ivan.get(f"{LEDGER}add/").status_code == 403
    ivan.post(f"{LEDGER}{entry.pk}/change/", {"job": "other"})
    assert ivan.post(f"{LEDGER}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    entry.refresh_from_db()
    assert entry.job == ""


def test_finops_adds_and_ends_a_rate_and_each_is_recorded(ivan, tenant):
    form = {"model": "gpt-4o*", "provider": "openai", "currency": "USD", "input_mtok": "2.25"}
    form |= {"output_mtok": "9", "cache_read_mtok": "", "cache_write_mtok": "", "per_call": "0"}
    ivan.post(f"{RATES}add/", form | {"reason": "Yearly agreement"})
    rate = CostModel.objects.get()
    assert (rate.model, str(rate.input_mtok), rate.created_by.username) == ("gpt-4o*", "2.250000000", "ivan")
    record = ChangeRecord.objects.get(verb="costs.rate.added")
    assert (record.actor_label, record.reason) == ("ivan", "Yearly agreement")
    act = {
        "action": "end_rate",
        "_selected_action": [str(rate.pk)],
        "confirmed": "1",
        "reason": "Renegotiated",
    }
    ivan.post(RATES, act)
    rate.refresh_from_db()
    assert rate.ends_at is not None


def test_a_wrong_rate_is_refused_with_a_sentence_and_nothing_is_stored(ivan, tenant):
    form = {"model": "gpt*4", "provider": "", "currency": "USD", "input_mtok": "1", "output_mtok": "-1"}
    page = ivan.post(f"{RATES}add/", form | {"per_call": "0", "reason": "x"}, follow=True).content.decode()
    assert "only its end may be a *" in page and not CostModel.objects.exists()


def test_finops_sets_a_cap_on_an_instance_that_is_theirs_to_see(ivan, runner):
    ivan.post(
        f"{CAPS}add/",
        {
            "instance": str(runner.pk),
            "per_day": "5",
            "currency": "USD",
            "unpriced": "passes",
            "reason": "Trial",
        },
    )
    cap = Cap.objects.get()
    assert (cap.instance, cap.per_day, cap.until) == (runner, 5, None)
    act = {"action": "end_cap", "_selected_action": [str(cap.pk)], "confirmed": "1", "reason": "Over"}
    ivan.post(CAPS, act)
    cap.refresh_from_db()
    assert cap.until is not None


def test_a_cap_cannot_be_set_where_one_may_only_look(tenant, prod, runner, stray):
    """Finn is FinOps of production: an instance of dev is not among his choices, nor reached by naming it."""
    finn = desk(make.hired("finn", "finops", prod))
    choices = "/admin/autocomplete/?app_label=costs&model_name=cap&field_name=instance&term="
    found = [row["text"] for row in finn.get(choices).json()["results"]]
    assert [name for name in found if "draft" in name] == [] and any("support-07" in name for name in found)
    finn.post(
        f"{CAPS}add/",
        {"instance": str(stray.pk), "per_day": "5", "currency": "USD", "unpriced": "passes", "reason": "x"},
    )
    assert not Cap.objects.exists()


def test_she_reads_caps_and_breaches_of_production_and_sets_none(grace, runner, stray, tenant):
    mine, theirs = make.cap(runner), make.cap(stray)
    for cap in (mine, theirs):
        CapBreach.objects.create(
            tenant=tenant,
            cap=cap,
            day="2026-01-02",
            amount_picos=7 * 10**12,
            restricted=True,
            incident_id=cap.pk,
        )
    for page in (text(grace, CAPS), text(grace, BREACHES)):
        assert "support-07" in page and "draft-01" not in page
    assert "2026-01-02" in text(grace, f"{CAPS}{mine.pk}/change/")
    assert grace.get(f"{CAPS}add/").status_code == 403 and grace.get(f"{RATES}add/").status_code == 403
    act = {"action": "end_cap", "_selected_action": [str(mine.pk)], "confirmed": "1", "reason": "x"}
    grace.post(CAPS, act)
    mine.refresh_from_db()
    assert mine.until is None


@pytest.mark.parametrize(
    ("stored", "shown"), [("50", "50.00 USD"), ("1250.5", "1,250.50 USD"), ("0.0125", "0.0125 USD")]
)
def test_money_of_caps_reads_as_money(grace, runner, tenant, stored, shown):
    cap = make.cap(runner, per_day=stored)
    CapBreach.objects.create(
        tenant=tenant, cap=cap, day="2026-01-02", amount_picos=7 * 10**12, restricted=True, incident_id=cap.pk
    )
    for page in (text(grace, CAPS), text(grace, f"{CAPS}{cap.pk}/change/")):
        assert shown in page
        assert "0000" not in page.partition('id="result_list"')[2].partition("</table>")[0]
    assert "7.00 USD" in text(grace, f"{CAPS}{cap.pk}/change/")
    assert "7.00 USD" in text(grace, BREACHES)
