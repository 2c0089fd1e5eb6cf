"""What is called, how long it is waited for, and how much is read: against a server that really misbehaves."""

import datetime
import ipaddress
import ssl
import threading
import time
import tracemalloc

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from arm import outbound
from arm.outbound import Allowed, Failed, read_allowed, refusal, send
from tests.hostile import hostile

LOOPBACK = read_allowed(["127.0.0.0/8"])


@pytest.fixture(scope="module")
def server():
    with hostile() as found:
        yield found


def failed(url, **how):
    with pytest.raises(Failed) as refused:
        send("POST", url, body=b"{}", **({"allowed": LOOPBACK, "seconds": 0.6} | how))
    return refused.value.code


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/hang", "timeout"),
        ("/drip", "timeout"),
        ("/drip-headers", "timeout"),
        ("/continue", "timeout"),
        ("/redirect", "redirected"),
        ("/close-early", "connection"),
        ("/close-at-once", "connection"),
        ("/nonsense", "protocol"),
    ],
)
def test_a_peer_that_misbehaves_gives_no_answer_and_takes_no_longer_than_allowed(server, path, code):
    began = time.monotonic()
    assert failed(server.url + path) == code
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("path", ["/huge", "/huge-unsaid", "/bomb", "/endless-chunk"])
def test_what_is_too_large_is_not_read_into_memory(server, path):
    tracemalloc.start()
    code = failed(server.url + path, seconds=10)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code == ("protocol" if path == "/endless-chunk" else "too_large")
    # The bomb is packed by this very process: its 100 MB are the server's, and are there before anything is read.
    assert most < (250_000_000 if path == "/bomb" else 8_000_000)


def test_unpacking_stops_at_the_limit(monkeypatch, server):
    server.answer = lambda asked: {"output": "a" * 5000}
    assert len(send("POST", server.url + "/packed", body=b"{}", allowed=LOOPBACK).body) > 5000
    assert failed(server.url + "/packed", most=4000) == "too_large"


def test_an_answer_says_its_status_its_headers_and_where_it_came_from(server):
    server.answer = lambda asked: {"output": asked}
    answer = send("POST", server.url + "/good", body=b'{"a": 1}', allowed=LOOPBACK)
    assert (answer.status, answer.address) == (200, "127.0.0.1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == b'{"output": {"a": 1}}'
    assert send("POST", server.url + "/broken", body=b"{}", allowed=LOOPBACK).status == 500


def test_loopback_is_called_only_where_the_list_says_so(server):
    assert failed(server.url + "/good", allowed=Allowed()) == "address_refused"
    by_name = server.url.replace("127.0.0.1", "localhost")
    assert failed(by_name + "/good", allowed=Allowed()) == "address_refused"
    before = len(server.asked)
    send(
        "POST",
        by_name + "/good",
        allowed=read_allowed(["LOCALHOST"]),
        resolve=lambda host, port: ["127.0.0.1"],
    )
    assert len(server.asked) == before + 1


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.3.4", "192.168.1.1", "127.0.0.1", "127.255.255.254", "0.0.0.0", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "100.100.100.200", "198.18.0.1",
        "::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "2002:7f00:1::", "2002:c0a8:101::1",
        "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "fd20:ce::254", "192.88.99.1", "3fff::1",
        "3fff:fff:ffff::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_however_it_is_written(address):
    assert refusal(ipaddress.ip_address(address), "agent.example")
    assert (
        failed("http://agent.example/", allowed=Allowed(), resolve=lambda host, port: [address])
        == "address_refused"
    )


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "168.63.129.17",
        "192.88.98.1",
        "192.88.100.1",
        "2606:4700::1",
        "2606:2800:220:1::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_a_public_address_is_called(address):
    assert not refusal(ipaddress.ip_address(address), "agent.example")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0", "168.63.129.16",
        "fd20:ce::254", "2002:a83f:8110::1",
    ],
)  # fmt: skip
def test_no_list_opens_metadata_link_local_or_no_address(address):
    everything = read_allowed(["0.0.0.0/0", "::/0", "metadata.internal"])
    assert refusal(ipaddress.ip_address(address), "metadata.internal", everything)


def test_a_name_with_a_public_and_a_private_address_is_not_called(server):
    both = ["93.184.216.34", "127.0.0.1"]
    assert failed("http://agent.example/", allowed=Allowed(), resolve=lambda h, p: both) == "address_refused"


def test_a_name_is_resolved_once_and_the_judged_address_is_called(server):
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    url = f"http://agent.example:{server.port}/good"
    answer = send("POST", url, allowed=LOOPBACK, resolve=lambda host, port: next(answers))
    assert answer.address == "127.0.0.1" and next(answers) == ["10.0.0.1"]
    assert f"Host: agent.example:{server.port}" in server.heads[-1]


def test_a_resolver_that_hangs_is_not_waited_for():
    waiting = threading.Event()
    began = time.monotonic()
    assert failed("http://agent.example/", resolve=lambda host, port: waiting.wait(20)) == "timeout"
    waiting.set()
    assert time.monotonic() - began < 2


def test_a_name_without_an_address_is_unresolved_and_a_closed_port_takes_no_connection(server):
    assert failed("http://agent.example/", resolve=lambda host, port: []) == "unresolved"
    assert failed("http://127.0.0.1:1/") == "connection"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://agent.example/", "file:///etc/passwd", "agent.example", "http://", "http://u:p@agent.example/",
        "http://agent.example/#x", "http://agent.example:99999/", "http://agent.example/a b",
        "http://agent.example/\r\nX: y", "http://agent.example\\@127.0.0.1/", "http://agent.example:0/",
        "http://agent.example/ü",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_url_is_refused_before_anything_is_resolved(url):
    def resolve(host, port):
        raise AssertionError("resolved")

    assert failed(url, resolve=resolve) == "url"


def test_a_number_for_an_address_is_judged_as_the_address_it_is(server):
    assert failed("http://2130706433/", allowed=Allowed()) == "address_refused"
    assert failed("http://0x7f.1/", allowed=Allowed()) == "address_refused"


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "10.0.0", "10.1.1.1/8", "fe80::zz", "agent.example/x"])
def test_an_entry_that_is_neither_host_nor_network_is_refused(entry):
    with pytest.raises(ValueError, match="no network"):
        read_allowed([entry])


def certificate(tmp_path, name):
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / f"{name}.pem"
    path.write_bytes(key.private_bytes(*kinds) + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure(tmp_path):
    """A server that speaks TLS as agent.example, with a certificate that only this test trusts."""
    path = certificate(tmp_path, "agent.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with hostile(context) as server:
        yield server, ssl.create_default_context(cafile=str(path))


def test_a_certificate_is_held_to_the_name_that_was_asked_for(secure):
    server, trust = secure
    here = {"resolve": lambda host, port: ["127.0.0.1"], "seconds": 5}
    answer = send("POST", f"https://agent.example:{server.port}/good", allowed=LOOPBACK, tls=trust, **here)
    assert answer.status == 200 and "Host: agent.example" in server.heads[-1]
    assert failed(f"https://other.example:{server.port}/good", tls=trust, **here) == "tls"
    assert failed(f"https://agent.example:{server.port}/good", **here) == "tls"  # nobody vouches for it


def test_a_tls_peer_that_drips_is_not_waited_for(secure):
    server, trust = secure
    began = time.monotonic()
    url = f"https://agent.example:{server.port}/drip"
    assert failed(url, tls=trust, resolve=lambda host, port: ["127.0.0.1"]) == "timeout"
    assert time.monotonic() - began < 1.5


def test_a_peer_that_never_shakes_hands_is_not_waited_for(server):
    url = f"https://agent.example:{server.port}/hang"
    assert failed(url, resolve=lambda host, port: ["127.0.0.1"]) in ("timeout", "tls")


def test_no_proxy_of_the_environment_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert send("POST", server.url + "/good", allowed=LOOPBACK).status == 200


def test_the_systems_resolver_names_every_address():
    assert "127.0.0.1" in outbound.system_resolver("localhost", 80)
