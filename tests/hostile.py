"""A real HTTP server on loopback that misbehaves as it is told to: by the path of the request."""

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

JSON = b"application/json"
Behaviour = Callable[[socket.socket, "Hostile", dict[str, Any]], None]


def head(status: bytes = b"200 OK", kind: bytes = JSON, *more: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Connection: close", *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def said(value: Any, status: bytes = b"200 OK", kind: bytes = JSON) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return head(status, kind, b"Content-Length: %d" % len(body)) + body


def hang(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    server.closing.wait(60)


def drip(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    """A byte now and then, for ever: no single read takes long."""
    peer.sendall(head() + b'{"output": "')
    while not server.closing.wait(0.05):
        peer.sendall(b"a")


def drip_headers(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not server.closing.wait(0.05):
        peer.sendall(b"a")


def continue_for_ever(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    while not server.closing.wait(0.01):
        peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def redirect(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    peer.sendall(
        head(b"307 Temporary Redirect", JSON, f"Location: {server.url}/good".encode(), b"Content-Length: 0")
    )


def huge(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    """100 MB that say so at once."""
    peer.sendall(head(b"200 OK", JSON, b"Content-Length: 100000000"))
    for _ in range(100):
        peer.sendall(b'"' + b"a" * 999_999)


def huge_unsaid(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    """100 MB that do not say so."""
    peer.sendall(head())
    for _ in range(100):
        peer.sendall(b'"' + b"a" * 999_999)


def bomb(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    """100 kB that become 100 MB."""
    body = gzip.compress(b'{"a": "' + b"a" * 100_000_000 + b'"}', 1)
    peer.sendall(head(b"200 OK", JSON, b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)) + body)


def packed(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    body = gzip.compress(json.dumps(server.answer(asked)).encode())
    peer.sendall(head(b"200 OK", JSON, b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)) + body)


def endless_chunk(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    """The length of a chunk that never ends."""
    peer.sendall(head(b"200 OK", JSON, b"Transfer-Encoding: chunked"))
    for _ in range(100):
        peer.sendall(b"1" * 1_000_000)


def close_early(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    peer.sendall(head(b"200 OK", JSON, b"Content-Length: 400") + b'{"output": "half')


def close_at_once(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    pass


def nonsense(peer: socket.socket, server: "Hostile", asked: dict[str, Any]) -> None:
    peer.sendall(b"\x00\x01\x02 not http at all\r\n\r\n")


BEHAVIOURS: dict[str, Behaviour] = {
    "/hang": hang,
    "/drip": drip,
    "/drip-headers": drip_headers,
    "/continue": continue_for_ever,
    "/redirect": redirect,
    "/huge": huge,
    "/huge-unsaid": huge_unsaid,
    "/bomb": bomb,
    "/packed": packed,
    "/endless-chunk": endless_chunk,
    "/close-early": close_early,
    "/close-at-once": close_at_once,
    "/nonsense": nonsense,
    "/html": lambda peer, server, asked: peer.sendall(said(b"<html>{}</html>", kind=b"text/html")),
    "/plain": lambda peer, server, asked: peer.sendall(said({"output": "x"}, kind=b"text/plain")),
    "/not-json": lambda peer, server, asked: peer.sendall(said(b'{"output": ')),
    "/list": lambda peer, server, asked: peer.sendall(said(["output"])),
    "/twice": lambda peer, server, asked: peer.sendall(said(b'{"output": "no", "output": "yes"}')),
    "/deep": lambda peer, server, asked: peer.sendall(
        said(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    ),
    "/many": lambda peer, server, asked: peer.sendall(said({"output": [0] * 60_000})),
    "/broken": lambda peer, server, asked: peer.sendall(said({"output": "x"}, b"500 Internal Server Error")),
    "/good": lambda peer, server, asked: peer.sendall(said(server.answer(asked))),
}


class Hostile:
    """`answer` is what `/good` says to a parsed request; `asked` keeps the requests in order."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=32)
        self.port = int(self.listening.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.closing = threading.Event()
        self.asked: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.answer: Callable[[dict[str, Any]], Any] = lambda asked: {"output": asked.get("input")}
        self.slow = 0.0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self.closing.is_set():
            try:
                peer, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        with peer as plain:
            try:
                peer = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
                got = b""
                while b"\r\n\r\n" not in got:
                    if not (piece := peer.recv(65536)):
                        return
                    got += piece
                top, _, body = got.partition(b"\r\n\r\n")
                lines = top.decode("latin-1").split("\r\n")
                fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
                while len(body) < int(fields.get("content-length", 0)):
                    body += peer.recv(65536)
                asked = json.loads(body or b"{}")
                self.heads.append(top.decode("latin-1"))
                self.asked.append(asked)
                time.sleep(self.slow)
                BEHAVIOURS[lines[0].split()[1]](peer, self, asked)
            except OSError:
                pass  # the caller has had enough, which is what is tested
            finally:
                peer.close()


@contextmanager
def hostile(tls: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    server = Hostile(tls)
    try:
        yield server
    finally:
        server.closing.set()
        server.listening.close()
