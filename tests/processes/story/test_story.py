"""One story, told to the real processes and to other people's software: web, gateway, worker, signer, database and a
provider's adapter. An agent works and is watched, tested, proven, stopped where it runs elsewhere; then everything dies."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.hostile import hostile

from ..product import product
from . import conduct, federation, kills, proof, work
from .stage import Cloud, Stage

pytestmark = pytest.mark.processes
STEPS = [*work.STEPS, *conduct.STEPS, *proof.STEPS, *federation.STEPS, *kills.STEPS]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with product() as running, hostile() as agent:
        running.start()
        said = running.manage("shell", "-c", "from tests.processes.story.setting import build; build()")
        facts = json.loads(said.strip().splitlines()[-1])
        place = tmp_path_factory.mktemp("cloud")
        cloud = Cloud(place, running.gateway, facts["version"], facts["elsewhere"])
        yield Stage(running, facts, tmp_path_factory.mktemp("taken"), agent, cloud)
        cloud.kill()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_the_story(step: Callable[[Stage], None], stage: Stage) -> None:
    """Each step stands on those before it."""
    assert not stage.broken, f"the story ended at {stage.broken}"
    stage.broken = step.__name__
    step(stage)
    stage.broken = ""
