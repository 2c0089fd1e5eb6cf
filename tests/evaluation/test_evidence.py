"""What an Agent Card and an Audit Pack say of evaluation: the suites by their exact text, and every result."""

import io
import json
import zipfile
from hashlib import sha256

import pytest

from evidence.models import ArtefactFile
from registry import services
from tests import make
from tests.evidence import issuing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signer(settings):
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"


def test_a_card_names_each_suite_with_how_its_newest_run_on_this_genome_came_out() -> None:
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    passed, waiting = make.suite("tone"), make.suite("refunds")
    make.assigned(version.template, passed)
    make.assigned(version.template, waiting, mandatory=False)
    run = make.run(version, passed)
    held = issuing.card(version, alice)
    said = json.loads(bytes(held.artefact.statement or b""))["predicate"]
    by_name = {one["name"]: one for one in said["evaluation"]["suites"]}
    assert (
        by_name[passed.name] | {"runId": run.typeid, "state": "passed", "mandatory": True}
        == by_name[passed.name]
    )
    assert by_name[passed.name]["digest"] == run.suite_version.digest
    assert (by_name[waiting.name]["state"], by_name[waiting.name]["runId"]) == ("never_run", None)
    assert "evaluation" in said["completeness"]["present"]
    assert issuing.finish(held.artefact).state == "verified"


def test_a_pack_holds_the_suites_as_they_were_asked_and_the_results_without_what_the_agent_said() -> None:
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    suite = make.suite("tone")
    make.assigned(version.template, suite)
    run = make.run(version, suite, "failed")
    elsewhere = make.run(make.approved(template=version.template), suite)  # another genome: not in this pack
    issuing.seal(version.tenant)
    artefact = issuing.finish(services.export_pack(version=version, actor=alice, reason="audit").artefact)
    assert artefact.state == "verified", artefact.problem
    data = bytes(artefact.files.get(kind=ArtefactFile.Kind.PACK).content)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        (result,) = (name for name in names if run.typeid in name)
        (asked,) = (name for name in names if name.endswith(".suite.json"))
        said, text = json.loads(archive.read(result)), archive.read(asked)
    assert not any(elsewhere.typeid in name for name in names)
    assert (said["state"], said["results"][0]["outcome"]) == ("failed", "failed")
    assert said["suiteVersion"]["digest"] == f"sha256:{sha256(text).hexdigest()}"
    assert "excerpt" not in said["results"][0]
