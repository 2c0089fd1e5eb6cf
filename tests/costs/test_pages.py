"""What was spent, by any tag, and the rows behind each number; caps and rates as people set them."""

import html
import re
from datetime import timedelta
from decimal import Decimal

import pytest

from arm import clock
from arm.rights import Right
from costs.models import Cap, CostModel
from costs.pricing import Basis
from costs.queries import TAGS
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def ivan(tenant, client):
    """FinOps of the whole tenant, signed in."""
    user = make.user("ivan", member_of=tenant)
    make.grant(user, tenant, Right.READ_LEDGER, Right.READ_DIRECTORY, Right.SET_BUDGET, Right.EDIT_RATES)
    make.grant(user, tenant, Right.EXPORT)
    client.force_login(user)
    return user


@pytest.fixture
def prod(tenant):
    role = make.role("bookkeeper", tenant=tenant)
    return make.instance(environment=make.environment("prod"), name="books-01", role=role)


@pytest.fixture
def dev(tenant):
    return make.instance(environment=make.environment("dev"), name="toys-01")


def text_of(page):
    return html.unescape(page.content.decode())


def lines(client, query):
    """label → amount, as the CSV says."""
    rows = text_of(client.get(f"/costs/?format=csv&{query}")).splitlines()[1:]
    return {row.split(",")[1]: Decimal(row.split(",")[2]) for row in rows}


class TestSpend:
    def test_grouped_by_every_tag_the_lines_add_up_to_the_same_total(self, client, ivan, prod, dev):
        make.entry(prod, "0.0040", model="gpt-4o", model_provider="openai", job="j1", cost_center="finance")
        make.entry(prod, "0.0060", model="gpt-4o", model_provider="openai", outcome="posted")
        make.entry(dev, "0.5000", model="claude", model_provider="anthropic")
        for name in TAGS:
            assert sum(lines(client, f"group_by={name}").values()) == Decimal("0.51"), name
        assert lines(client, "group_by=environment") == {"prod": Decimal("0.01"), "dev": Decimal("0.5")}
        assert lines(client, "group_by=cost_center") == {
            "finance": Decimal("0.004"),
            "no cost centre": Decimal("0.506"),
        }
        assert lines(client, "group_by=role") == {"bookkeeper": Decimal("0.01"), "no role": Decimal("0.5")}
        assert lines(client, "group_by=job") == {"j1": Decimal("0.004"), "no job": Decimal("0.506")}

    @pytest.mark.parametrize("name", list(TAGS))
    def test_each_number_leads_to_exactly_the_rows_behind_it(self, client, ivan, prod, dev, name):
        for instance, amount, tags in (
            (prod, "1", {"model": "gpt-4o", "model_provider": "openai", "job": "j1", "cost_center": "x"}),
            (prod, "2", {"model": "gpt-4o", "model_provider": "openai", "outcome": "posted"}),
            (dev, "4", {"model": "claude", "model_provider": "anthropic"}),
        ):
            make.entry(instance, amount, **tags)
        page = text_of(client.get(f"/costs/?group_by={name}"))
        table = page[page.index('id="lines"') :]
        for link, label in re.findall(r'<th scope="row"><a href="([^"]+)">([^<]+)</a>', table):
            rows = text_of(client.get(f"{link}&format=csv")).splitlines()[1:]
            assert sum(Decimal(row.split(",")[2]) for row in rows) == lines(client, f"group_by={name}")[label]

    def test_what_nobody_is_charged_for_and_what_has_no_price_is_said(self, client, ivan, prod):
        make.entry(prod, "3", job="j1")
        make.entry(prod, "1")
        make.entry(prod, "0", basis=Basis.UNPRICED, job="j2")
        page = text_of(client.get("/costs/"))
        assert "25.0%" in page and "33.3%" in page
        link = re.search(r'href="([^"]*attributed=false[^"]*)"', page)[1]
        assert len(text_of(client.get(f"{link}&format=csv")).splitlines()) == 2
        link = re.search(r'href="([^"]*basis=unpriced[^"]*)"', page)[1]
        assert "not priced" in text_of(client.get(link))

    def test_a_period_is_a_period(self, client, ivan, prod):
        make.entry(prod, "1", occurred_at=clock.now() - timedelta(days=3))
        make.entry(prod, "2")
        assert sum(lines(client, "period=today").values()) == 2
        assert sum(lines(client, "period=7d").values()) == 3
        day = clock.today() - timedelta(days=3)
        assert sum(lines(client, f"since={day}&until={day}").values()) == 1
        wrong = text_of(client.get(f"/costs/?since={clock.today()}&until={day}"))
        assert "ends before it begins" in wrong

    def test_currencies_are_never_added(self, client, ivan, prod):
        make.entry(prod, "1")
        make.entry(prod, "9", currency="EUR")
        assert lines(client, "") == {"prod": Decimal(1)}
        assert lines(client, "currency=EUR") == {"prod": Decimal(9)}

    def test_somebody_of_one_environment_sees_its_spend_only(self, client, tenant, prod, dev):
        make.entry(prod, "1")
        hidden = make.entry(dev, "4")
        gus = make.user("gus", member_of=tenant)
        make.grant(gus, prod.environment, Right.READ_LEDGER, Right.EXPORT)
        client.force_login(gus)
        assert lines(client, "") == {"prod": Decimal(1)}
        assert hidden.typeid not in text_of(client.get("/costs/ledger/"))
        assert client.get(hidden.get_absolute_url()).status_code == 404

    def test_who_may_not_read_the_ledger_sees_nothing(self, client, tenant, prod):
        make.entry(prod, "1")
        rita = make.user("rita", member_of=tenant)
        make.grant(rita, tenant, Right.READ_DIRECTORY, Right.EXPORT)
        client.force_login(rita)
        assert lines(client, "") == {}
        assert "Spend today" not in text_of(client.get("/"))

    def test_the_fleet_page_says_what_today_cost_and_leads_to_the_rows(self, client, ivan, prod):
        make.entry(prod, "1.25")
        make.entry(prod, "7", occurred_at=clock.now() - timedelta(days=1))
        page = text_of(client.get("/"))
        assert "Spend today" in page and "1.25" in page
        link = re.search(r'href="(/costs/ledger/[^"]+)"', page)[1]
        assert len(text_of(client.get(f"{link}&format=csv")).splitlines()) == 2


class TestLedger:
    def test_an_entry_says_how_it_was_worked_out(self, client, ivan, prod):
        entry = make.entry(prod, "0.004", price_ref="genai-prices@2026#abc", model="gpt-4o", job="j1")
        page = text_of(client.get(entry.get_absolute_url()))
        assert "genai-prices@2026#abc" in page and "0.004" in page and "j1" in page

    def test_the_box_shows_the_time_that_a_link_asked_for(self, client, ivan, prod):
        make.entry(prod, "1")
        page = text_of(client.get("/costs/ledger/?since=2026-10-30&environment=prod"))
        assert 'value="2026-10-30T00:00"' in page and "Environment slug" not in page

    def test_pages_follow_the_key(self, client, ivan, prod):
        at = clock.now() - timedelta(minutes=30)
        entries = [make.entry(prod, "1", occurred_at=at + timedelta(seconds=n)) for n in range(55)]
        page = text_of(client.get("/costs/ledger/"))
        link = re.search(r'rel="next" href="([^"]+)"', page)[1]
        older = text_of(client.get(f"/costs/ledger/{link}"))
        assert entries[4].typeid in older and entries[5].typeid not in older


class TestCapsAndRates:
    def test_a_cap_is_set_and_ended(self, client, ivan, prod):
        form = {
            "instance": prod.typeid,
            "per_day": "5",
            "currency": "USD",
            "unpriced": "ignored",
            "reason": "Budget",
        }
        assert client.post("/costs/caps/new/", form).status_code == 302
        cap = Cap.objects.get()
        assert (cap.instance, cap.per_day, cap.created_by) == (prod, 5, ivan)
        assert cap.unpriced == Cap.Unpriced.IGNORED
        assert "Leave out" in client.get("/costs/caps/").content.decode()
        assert "books-01" in text_of(client.get("/costs/caps/"))
        assert client.post(f"/costs/caps/{cap.typeid}/end/", {"reason": "Enough"}).status_code == 302
        assert "books-01" not in text_of(client.get("/costs/caps/"))
        assert "books-01" in text_of(client.get("/costs/caps/?ended=true"))

    def test_a_wrong_cap_comes_back_with_its_sentence(self, client, ivan, prod):
        form = {
            "instance": prod.typeid,
            "per_day": "0",
            "currency": "USD",
            "unpriced": "passes",
            "reason": "Budget",
        }
        page = client.post("/costs/caps/new/", form)
        assert page.status_code == 422 and "above zero" in text_of(page) and not Cap.objects.exists()

    def test_the_right_to_read_sets_no_cap_and_no_rate(self, client, tenant, prod):
        rita = make.user("rita", member_of=tenant)
        make.grant(rita, tenant, Right.READ_LEDGER, Right.READ_DIRECTORY)
        client.force_login(rita)
        cap, rate = make.cap(prod), make.rate()
        for url in ("/costs/caps/new/", "/costs/rates/new/"):
            assert client.get(url).status_code == 403 and client.post(url, {}).status_code == 403
        assert client.post(f"/costs/caps/{cap.typeid}/end/", {"reason": "x"}).status_code == 404
        assert client.post(f"/costs/rates/{rate.typeid}/end/", {"reason": "x"}).status_code == 404

    def test_a_rate_is_added_and_ended(self, client, ivan, prod):
        form = {
            "model": "gpt-4o*",
            "currency": "USD",
            "input_mtok": "2.5",
            "output_mtok": "10",
            "reason": "New contract",
        }
        assert client.post("/costs/rates/new/", form).status_code == 302
        rate = CostModel.objects.get()
        assert (rate.model, rate.input_mtok, rate.provider) == ("gpt-4o*", Decimal("2.5"), "")
        assert "gpt-4o*" in text_of(client.get("/costs/rates/?in_force=true"))
        assert client.post(f"/costs/rates/{rate.typeid}/end/", {"reason": "Over"}).status_code == 302
        assert "gpt-4o*" not in text_of(client.get("/costs/rates/?in_force=true"))


class TestInTheDirectory:
    def test_agent_version_and_instance_say_what_they_cost_and_lead_to_the_entries(
        self, client, ivan, prod, dev
    ):
        make.entry(prod, "3")
        make.entry(prod, "4", occurred_at=clock.now() - timedelta(days=40))
        make.entry(prod, "0", basis=Basis.UNPRICED)
        make.entry(dev, "9")
        make.cap(prod, per_day="5")
        for row in (prod, prod.version, prod.template):
            page = client.get(row.get_absolute_url())
            (shown,) = [panel for panel in page.context["panels"] if panel.title == "Spend"]
            (line,) = shown.context["lines"]
            assert (line["amount"], line["calls"], line["unpriced"]) == (Decimal(3), 2, 1), row
            entries = text_of(client.get(f"{line['url']}&format=csv")).splitlines()[1:]
            assert sum(Decimal(entry.split(",")[2]) for entry in entries) == 3
        assert "a day, since" in text_of(client.get(prod.get_absolute_url()))

    def test_who_does_not_read_the_ledger_is_shown_no_sum(self, client, tenant, prod):
        make.entry(prod, "3")
        bob = make.user("bob", member_of=tenant)
        make.grant(bob, tenant, Right.READ_DIRECTORY)
        client.force_login(bob)
        panels = client.get(prod.get_absolute_url()).context["panels"]
        assert "Spend" not in {panel.title for panel in panels}
