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
from arm_adapter.adapter import Adapter
from arm_adapter.config import BadConfig, read
from arm_adapter.runtime import CannotApply
from arm_adapter.simulated import SimulatedRuntime
from arm_adapter.store import Order, Store
from arm_adapter.trust import NotTrusted, Trust

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


def test_the_command_line_says_in_a_sentence_that_its_store_is_broken(tmp_path):
    file = tmp_path / "adapter.toml"
    file.write_text('url = "http://127.0.0.1:1"\nstate = "s"\nruntime = "nowhere:Nobody"')
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "store.sqlite").write_bytes(b"this is no database, by far" * 100)
    done = subprocess.run(
        [sys.executable, "-m", "arm_adapter", "run", "--config", str(file)],
        cwd=SDK, capture_output=True, text=True, check=False, env={"PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "store.sqlite cannot be used" in done.stderr and "Traceback" not in done.stderr


def test_its_store_is_readable_by_itself_alone(tmp_path):
    file = tmp_path / "s.sqlite"
    file.touch(0o644)
    Store(file).keep("a", "b")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("s.sqlite*")} == {0o600}


def test_the_file_of_its_runtime_lies_beside_its_configuration(tmp_path):
    file = tmp_path / "adapter.toml"
    text = 'url = "http://x"\nstate = "s"\nruntime = "arm_adapter.simulated:SimulatedRuntime"\n[options]\nfile = "{}"'
    file.write_text(text.format("i.json"))
    (tmp_path / "i.json").write_text('{"instances": []}')
    assert read(file).make_runtime().instances() == []
    file.write_text(text.format("/elsewhere/i.json"))
    assert read(file).options == {"file": "/elsewhere/i.json"}


# --- whatever goes wrong


class Link:
    """A connection to nobody: it answers what it is told to."""

    def __init__(self, **answers: object) -> None:
        self.session, self.answers, self.client_id = "fse_x", answers, "pcl_x"
        self.places = {"issuer": "https://arm.example"}

    def __getattr__(self, name: str) -> object:
        def answer(*_: object) -> object:
            said = self.answers.get(name, {})
            if isinstance(said, Exception):
                raise said
            return said

        return answer


class Runtime:
    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem

    def instances(self) -> list[object]:
        if self.problem:
            raise self.problem
        return []

    def health(self) -> tuple[str, str]:
        return "ok", ""


def adapter(tmp_path: Path, link: Link, runtime: Runtime | None = None) -> Adapter:
    return Adapter(link, Store(tmp_path / "s.sqlite"), runtime or Runtime(), poll_s=10, heartbeat_s=20)


GOOD = {"poll": {"sets": {}, "moreAvailable": False}, "heartbeat": {"flags": []}}


def test_a_runtime_that_raises_is_waited_out(tmp_path):
    runtime = Runtime(RuntimeError("the cluster is away"))
    made = adapter(tmp_path, Link(**GOOD), runtime)
    assert made.step() is False
    runtime.problem = None
    assert made.step() is True


def test_an_answer_that_makes_no_sense_is_waited_out(tmp_path):
    made = adapter(tmp_path, Link(poll={}, heartbeat={}))
    assert made.step() is False
    made.link.answers = GOOD
    assert made.step() is True


def test_a_store_that_breaks_is_said_in_a_sentence_and_tried_again(tmp_path, caplog):
    made = adapter(tmp_path, Link(**GOOD))
    made.store.close()
    assert made.step() is False
    assert "the store cannot be used" in caplog.text and "Traceback" not in caplog.text
    made.store = Store(tmp_path / "s.sqlite")
    assert made.step() is True


# --- whom it believes


def key(seed: int) -> dict[str, str]:
    return {"kty": "EC", "crv": "P-256", "x": f"x{seed}", "y": f"y{seed}", "kid": f"k{seed}", "use": "sig"}


URL = "https://arm.example"


def test_another_issuer_at_the_same_address_is_refused(tmp_path):
    trust = Trust(Store(tmp_path / "s.sqlite"))
    trust.begin(URL, URL, [key(1)])
    trust.meet(URL, URL)
    with pytest.raises(NotTrusted, match="mallory"):
        trust.meet(URL, "https://mallory.example")
    trust.meet("https://moved.example", "https://moved.example")  # the operator's own decision
    with pytest.raises(NotTrusted):
        trust.renew([key(9)])


def test_new_signing_keys_count_only_beside_a_known_one(tmp_path):
    trust = Trust(Store(tmp_path / "s.sqlite"))
    trust.begin(URL, URL, [key(1)])
    trust.renew([key(1), key(2)])
    trust.renew([key(2), key(3)])
    for stranger in ([key(9)], [key(9) | {"kid": "k2"}], [key(1)], []):
        with pytest.raises(NotTrusted):
            trust.renew(stranger)
    again = Trust(Store(tmp_path / "s.sqlite"))
    assert again.keys == trust.keys and len(again.keys) == 2


def test_where_no_key_was_listed_at_the_registration_the_first_are_kept(tmp_path):
    trust = Trust(Store(tmp_path / "s.sqlite"))
    trust.begin(URL, URL, [])
    trust.renew([])
    trust.renew([key(1)])
    with pytest.raises(NotTrusted):
        trust.renew([key(2)])


def test_who_is_not_trusted_is_not_acted_for(tmp_path, caplog):
    made = adapter(tmp_path, Link(**GOOD, meet=NotTrusted("a stranger")))
    made.link.session = ""
    made.runtime.problem = AssertionError("nothing may be done")
    assert made.step() is False
    assert "arm_not_trusted" in caplog.text and "nothing may be done" not in caplog.text


@pytest.mark.parametrize(
    ("generation", "plausible"), [(1_000_002, True), (1_000_003, False), (2**53 - 1, False)]
)
def test_a_generation_far_beyond_the_one_that_stands_is_refused(tmp_path, generation, plausible):
    made = adapter(tmp_path, Link(key=key(1)))
    made.store.take("j", order(2))
    wish = order(generation)
    event = {
        "desired": wish.desired,
        "desired_sha256": wish.sha256,
        "generation": generation,
        "command_id": "c",
    }
    claims = {"jti": "k", "events": {"https://arm.example/secevent/event-type/desired-state-changed": event}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crypto, "kid_of", lambda token: "k1")
        patch.setattr(crypto, "verified", lambda *_, **__: claims)
        made._take("k", "token")
    acks, errors = made.store.answers()
    assert ("k" in acks, "k" in errors) == (plausible, not plausible)
    assert made.store.generation("ins_1") == (generation if plausible else 2)
