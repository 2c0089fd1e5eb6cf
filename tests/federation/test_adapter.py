"""The reference adapter stands on its own, keeps what it was told, and believes nobody but ARM."""

import ast
import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from arm.crypto import canonical
from evidence.signing import dsse, keys
from federation.protocol import documents

SDK = Path(__file__).parent.parent.parent / "sdk" / "adapter"
sys.path.insert(0, str(SDK))

from arm_adapter import connection, crypto
from arm_adapter.config import BadConfig, read
from arm_adapter.runtime import CannotApply
from arm_adapter.simulated import SimulatedRuntime
from arm_adapter.store import Order, Store

OURS = {"arm", "evidence", "registry", "policy", "telemetry", "evaluation", "costs", "federation"}


def test_the_adapter_imports_nothing_of_arm_and_only_what_it_declares():
    declared = {"cryptography", "joserfc", "urllib3"}
    named = tomllib.loads((SDK / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {name.split(">")[0] for name in named} == declared
    for file in (SDK / "arm_adapter").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                assert top in declared | sys.stdlib_module_names, f"{file.name} imports {name}"


def test_it_says_digests_and_canonical_bytes_as_arm_does():
    lines = [("ins_b", "ver_1", "Active", 1), ("Ünregistered", "v", "Paused", 2)]
    assert connection.fleet_digest(lines) == documents.fleet_digest(lines)
    value = {"b": [1, True, "ü\n\u007f"], "a": {"z": "", "y": 2**53 - 1}}
    assert crypto.canonical(value) == canonical(value)


def test_its_keys_are_made_once_and_readable_by_itself_alone(tmp_path):
    first, again = crypto.Keys(tmp_path / "s"), crypto.Keys(tmp_path / "s")
    assert first.public() == again.public()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "s").glob("*.pem")} == {0o600}
    for said in first.public():
        assert said["kid"] == keys.key_id(keys.from_jwk(said))


def test_its_proof_is_an_envelope_that_arm_reads(tmp_path):
    made = crypto.Keys(tmp_path)
    envelope = made.attestation("instances/x", "ab" * 32, {"generation": 1})
    public = keys.from_jwk(made.attest_jwk)
    statement = dsse.verify(envelope, {keys.key_id(public): public})
    assert statement.subjects == {"instances/x": "ab" * 32}


def order(generation: int, state: str = "Paused", instance: str = "ins_1") -> Order:
    desired = {"instance_id": instance, "generation": generation, "run_state": state}
    sha256 = hashlib.sha256(crypto.canonical(desired)).hexdigest()
    return Order(instance, generation, sha256, f"cmd_{generation}", desired, "", False, False)


def test_what_it_was_told_outlives_it_and_older_orders_are_refused(tmp_path):
    store = Store(tmp_path / "s.sqlite")
    assert store.take("j2", order(2))
    store.mark(order(2), applied_at="now", attested=1)
    assert not store.take("j1", order(1))
    assert store.take("j2", order(2)), "the same again is no news"
    store.close()
    store = Store(tmp_path / "s.sqlite")
    (kept,) = store.orders().values()
    assert (kept.generation, kept.applied_at, kept.attested) == (2, "now", True)
    acks, errors = store.answers()
    assert acks == ["j2"] and errors["j1"]["err"] == "stale_generation"
    store.answered([*acks, *errors])
    assert store.answers() == ([], {})
    assert not store.take("j3", order(2, "Active")), "another document of the same generation"


def test_the_simulated_runtime_really_changes_its_file(tmp_path):
    file = tmp_path / "i.json"
    file.write_text(
        '{"instances": [{"external_id": "a", "id": "ins_1", "version_id": "v", "state": "Active"}]}'
    )
    runtime = SimulatedRuntime(str(file), refuses=["Draining"])
    (one,) = runtime.instances()
    runtime.apply(one, {"run_state": "Paused", "allow": {}})
    assert SimulatedRuntime(str(file)).instances()[0].state == "Paused"
    with pytest.raises(CannotApply):
        runtime.apply(one, {"run_state": "Draining", "allow": {}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "url"),
        ("url = 3", "url"),
        ('url = "ftp://x"\nstate = "s"\nruntime = "r"', "https"),
        ('url = "http://x"\nstate = "s"\nruntime = "r"\npool_s = 3', "pool_s"),
        ('url = "http://x"\nstate = "s"\nruntime = "r"\npoll_s = 0', "poll_s"),
        ("url = ", "adapter.toml"),
    ],
)
def test_a_wrong_configuration_is_said_in_a_sentence(tmp_path, text, said):
    file = tmp_path / "adapter.toml"
    file.write_text(text)
    with pytest.raises(BadConfig, match=said):
        read(file)


def test_the_command_line_says_what_is_missing_and_exits_with_one(tmp_path):
    file = tmp_path / "adapter.toml"
    file.write_text('url = "http://127.0.0.1:1"\nstate = "s"\nruntime = "nowhere:Nobody"')

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "arm_adapter", *arguments, "--config", str(file)],
            cwd=SDK, capture_output=True, text=True, input="armr_x\n", check=False, env={"PATH": ""},
        )  # fmt: skip

    assert call("run").returncode == 1 and "Not registered" in call("run").stderr
    assert call("register").returncode == 1 and "127.0.0.1:1" in call("register").stderr
    assert call("thumbprints").stdout.startswith("auth ")
