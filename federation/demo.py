"""The federated part of the demo fleet: a provider that runs some of the agents elsewhere, spoken for by the real adapter.

The adapter is a process of its own; `./run --demo` keeps it running. What it runs is a file that it really changes.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from arm import db
from arm.demo import Demo
from registry import services as registry
from registry.demo.taking_over import take_over
from registry.gates.placed import why_not_around
from registry.lifecycle import VersionState
from registry.models import AgentInstance, AgentVersion, Environment, Provider, SlotBinding

from . import services
from .models import ProviderClient

SLUG, NAME = "northwind", "Northwind Cloud"
INSTANCES = 12
ADAPTER = Path(__file__).parent.parent / "sdk" / "adapter"
FOLDER = "demo-adapter"
"""Below the data directory: the adapter's configuration, its keys and its store."""


def build(demo: Demo) -> None:
    """The provider, and instances there that wait for their telemetry like all others."""
    with demo.at(demo.start):
        provider = registry.create_provider(
            tenant=demo.tenant, slug=SLUG, name=NAME, kind=Provider.Kind.FEDERATED, heartbeat_seconds=60,
            description="Runs agents for us; its adapter tells what they do and proves that it stops them.",
            actor=demo.people["judy"], reason="Agents run at their place",
        )  # fmt: skip
    prod = Environment.objects.get(tenant=demo.tenant, slug="prod")
    approved = AgentVersion.objects.filter(state=VersionState.APPROVED).select_related("template")
    slotted = set(SlotBinding.objects.values_list("version__template", flat=True))
    versions = [  # nothing goes around the channels
        version
        for version in approved.order_by("pk")
        if version.template_id not in slotted or not why_not_around(version, prod)
    ]
    total = demo.count(INSTANCES)
    for number in demo.progress("federated instances", range(total), total):
        version = versions[number * 5 % len(versions)]
        with demo.at(max(version.state_since + timedelta(hours=1), demo.moment(0.4, 0.85))):
            take_over(
                version,
                prod,
                provider,
                name=f"{version.template.slug}-{SLUG}-{number:02d}",
                labels={"team": version.template.cost_center},
                actor=demo.people["dan"],
                reason="They ran at Northwind before we had ARM",
            )


def connect(demo: Demo) -> None:
    """Invite the provider, register its adapter at the gateway, and approve it: three hands, as always.

    Passed over where nobody says where the gateway is (`ARM_GATEWAY_URL`) or where data is kept.
    """
    if not settings.GATEWAY_URL or not settings.DATA_DIR:
        sys.stderr.write("  federated provider: no gateway is running, so its adapter is not connected\n")
        return
    place = Path(settings.DATA_DIR) / FOLDER
    place.mkdir(mode=0o700, exist_ok=True)
    with db.tenants([demo.tenant.pk]):
        provider = Provider.objects.get(tenant=demo.tenant, slug=SLUG)
        _write(place / "instances.json", {"instances": [_running(one) for one in _instances(provider)]})
        _write(place / "adapter.json", _configuration(settings.GATEWAY_URL))
        invited = services.invite_provider(
            provider=provider, actor=demo.people["judy"], reason="Their adapter is ready"
        )
    adapter(place, "register", ARM_REGISTRATION_TOKEN=invited.token)
    with db.tenants([demo.tenant.pk]):
        client = ProviderClient.objects.get(provider=provider)
        services.approve_client(
            client=client,
            actor=demo.admin,
            reason="Thumbprints compared on the phone",
            auth_kid=client.auth_kid,
            attest_kid=client.attest_kid,
        )


def adapter(place: Path, verb: str, **environment: str) -> None:
    """Run the adapter's command to its end. CalledProcessError with what it said."""
    command = [sys.executable, "-m", "arm_adapter", verb, "--config", str(place / "adapter.json")]
    python = {"PYTHONPATH": str(ADAPTER)}
    subprocess.run(command, env=os.environ | python | environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def _instances(provider: Provider) -> list[AgentInstance]:
    return list(AgentInstance.objects.live().filter(provider=provider).order_by("pk"))


def _running(instance: AgentInstance) -> dict[str, str]:
    """As the provider's own books have it: at work, whatever ARM wants by now."""
    return {
        "external_id": instance.name,
        "id": instance.typeid,
        "version_id": instance.version.typeid,
        "state": "Active",
    }


def _configuration(gateway: str) -> dict[str, object]:
    return {
        "url": gateway,
        "state": "state",
        "runtime": "arm_adapter.simulated:SimulatedRuntime",
        "client_name": f"{NAME} adapter",
        "contacts": ["ops@northwind.example"],
        "options": {"file": "instances.json"},
    }


def _write(file: Path, content: dict[str, object]) -> None:
    file.write_text(json.dumps(content, indent=1))
