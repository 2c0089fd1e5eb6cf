"""What suites have measured of a version leaves with it, and only of this very genome."""

from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from django.test import Client

from registry.models import AgentVersion
from tests import make
from tests.evaluation.suites import case
from tests.registry.test_a2a_export import SKILLS, _signer, alice, published, sdk_verifies, served, version

__all__ = ["_signer"]
pytestmark = pytest.mark.django_db


def measured(of: AgentVersion, passed: int) -> None:
    document = make.suite_document(*[case(f"c{n}") for n in range(4)], category="capability")
    suite = make.suite("refunds-suite", name="Refunds", document=document, capability="refunds")
    make.run(of, suite, state="failed" if passed < 4 else "passed", passed=passed, failed=4 - passed)


def exported(of: AgentVersion, by: Any, format: str) -> Any:
    client = Client()
    client.force_login(by)
    return client.get(f"/api/v1/registry/versions/{of.typeid}/export/?format={format}")


def test_a_bom_and_a_record_say_what_was_measured_of_this_genome_and_the_same_bytes_each_time() -> None:
    of = version()
    by = alice(of)
    before = exported(of, by, "cyclonedx-1.7")
    measured(of, 3)
    bom = exported(of, by, "cyclonedx-1.7")
    assert before["ETag"] != bom["ETag"] and bom.content == exported(of, by, "cyclonedx-1.7").content
    cards = [one.get("modelCard", {}) for one in bom.json()["components"]]
    (analysis,) = [card["quantitativeAnalysis"] for card in cards if "quantitativeAnalysis" in card]
    assert analysis["performanceMetrics"] == [
        {
            "type": "refunds",
            "value": "75",
            "slice": "the whole agent, by “Refunds” v1",
            "confidenceInterval": {"lowerBound": "30.1", "upperBound": "95.4"},
        }
    ]
    record = exported(of, by, "oasf").json()
    (told,) = [one["data"] for one in record["modules"] if "capabilities" in one["data"]]
    assert {"capability": "refunds", "percent": "75", "by": "“Refunds” v1"} in told["capabilities"]
    genome = make.genome(template=of.template, members={"skills": SKILLS, "x_serial": "b"})
    other = make.approved(template=of.template, genome=genome)
    assert "quantitativeAnalysis" not in exported(other, by, "cyclonedx-1.7").content.decode()


@pytest.mark.parametrize("spec", [SchemaVersion.V1_6, SchemaVersion.V1_7])
def test_a_bom_with_what_was_measured_is_strictly_valid(spec: SchemaVersion) -> None:
    of = version()
    measured(of, 3)
    data = exported(of, alice(of), f"cyclonedx-{spec.to_version()}").content.decode()
    assert "confidenceInterval" in data and JsonStrictValidator(spec).validate_str(data) is None


def test_where_no_app_measures_anything_exports_say_nothing_of_it(settings: Any) -> None:
    of = version()
    measured(of, 4)
    settings.CAPABILITIES = ""
    names = [one["name"] for one in exported(of, alice(of), "oasf").json()["modules"]]
    assert names == ["arm.example/genome", "core/language_model/model"]


def test_a_published_card_says_what_was_measured_when_it_was_signed() -> None:
    of = version()
    measured(of, 4)
    published(of, alice(of))
    card = served(of)
    sdk_verifies(card)
    params = card["capabilities"]["extensions"][0]["params"]
    assert params["measured"] == ["refunds 100 % by “Refunds” v1"]
