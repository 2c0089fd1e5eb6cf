"""One request to an address that a stranger may have written: where it may go, how long, and how much is read.

The name is resolved once, every address it has is judged, and the connection goes to an address that was judged: a
second resolution could say something else (DNS rebinding). No redirect is followed, no proxy of the environment is used.
"""

import http.client
import ipaddress
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from threading import Thread, Timer
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

MOST: Final = 1024 * 1024
PIECE: Final = 64 * 1024
EMBEDDING: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
"""Prefixes whose last 32 bits are an IPv4 address: NAT64 (RFC 6052, RFC 8215) and IPv4-compatible addresses."""
NEVER: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
        ),
    )
)
"""Metadata services of clouds: they hand out the machine's own credentials. No list opens them. The last one is Azure's,
and looks like any public address."""
NOT_PUBLIC: Final = (IPv6Network("3fff::/20"), IPv4Network("192.88.99.0/24"))
"""Documentation (RFC 9637) and the relays of 6to4 (RFC 7526), which the standard library takes for public."""


class Failed(Exception):
    """No answer that may be used. `code` is stable: url, unresolved, address_refused, connection, tls, timeout,
    redirected, too_large, protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be reached although it is not public: names (exactly, lower case) and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names are lower case, `body` is unpacked, `address` is where it came from."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    address: str
    seconds: float


NOTHING: Final = Allowed()


def read_allowed(entries: Iterable[str]) -> Allowed:
    """A list of hosts and networks as people write it. ValueError names the first entry that is neither."""
    hosts, networks = set(), []
    for entry in entries:
        text = entry.strip().lower().rstrip(".")
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as problem:
            if "/" in text or text.replace(".", "").isdigit() or ":" in text:
                raise ValueError(f"“{entry}” is no network: {problem}.") from None
            hosts.add(_ascii(text))
    return Allowed(frozenset(hosts), tuple(networks))


def read_url(url: str) -> SplitResult:
    """The parts of an http or https URL. Failed("url") says what is wrong with it."""
    if not url.isprintable() or any(letter.isspace() or letter == "\\" for letter in url):
        raise Failed("url", "A URL has no spaces, backslashes or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise Failed("url", f"Not a URL: {problem}.") from None
    if parts.scheme not in ("http", "https"):
        raise Failed("url", "Only http:// and https:// addresses are called.")
    if parts.username is not None or parts.password is not None:
        raise Failed("url", "A URL holds no user name and no password here.")
    if not parts.hostname or port == 0:
        raise Failed("url", "The URL names no host.")
    if parts.fragment:
        raise Failed("url", "A URL that is called has no fragment.")
    try:
        _ascii(parts.hostname)
    except ValueError as problem:
        raise Failed("url", str(problem)) from None
    if not (parts.path + parts.query).isascii():
        raise Failed("url", "Write characters beyond ASCII in path and query as %XX.")
    return parts


def refusal(address: Address, host: str, allowed: Allowed = NOTHING) -> str:
    """Why this address of the host is not called; '' where it is."""
    inner = _embedded(address)
    if inner is not None:
        return refusal(inner, host, allowed)
    if address in NEVER or address.is_link_local:
        return f"{address} is a link-local or metadata address, which nothing is allowed to call."
    if address.is_unspecified or address.is_multicast:
        return f"{address} is no address of one machine."
    if host in allowed.hosts or any(address in network for network in allowed.networks):
        return ""
    if address.is_loopback:
        return f"{address} is a loopback address, and is not on the list of allowed hosts and networks."
    if (
        not address.is_global
        or address.is_reserved
        or (address.version == 6 and address.is_site_local)
        or any(address in network for network in NOT_PUBLIC)
    ):
        return f"{address} is not a public address, and is not on the list of allowed hosts and networks."
    return ""


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, where it stands for one."""
    if not isinstance(address, IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    last = int(address) & 0xFFFFFFFF
    if any(address in network for network in EMBEDDING) and last > 1:  # :: and ::1 are themselves
        return IPv4Address(last)
    return None


def _ascii(host: str) -> str:
    """The name as DNS and certificates know it."""
    if host.isascii():
        return host.lower().rstrip(".")
    try:
        return host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        raise ValueError(f"“{host[:80]}” is no host name.") from None


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Every address of the name, in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def addresses_of(
    host: str, port: int, allowed: Allowed, seconds: float, resolve: Resolver = system_resolver
) -> list[Address]:
    """The addresses that may be called. One that may not refuses them all: a name that is public and private at once
    is an attack or a mistake."""
    found: list[Sequence[str]] = []
    problems: list[OSError] = []

    def ask() -> None:
        try:
            found.append(resolve(host, port))
        except (OSError, UnicodeError) as problem:
            problems.append(OSError(str(problem)))

    asking = Thread(target=ask, daemon=True)  # the system's resolver takes no deadline
    asking.start()
    asking.join(seconds)
    if asking.is_alive():
        raise Failed("timeout", f"{host} was not resolved in time.")
    if problems or not found or not found[0]:
        raise Failed("unresolved", f"{host} has no address.")
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found[0]]
    for address in addresses:
        if why := refusal(address, host, allowed):
            raise Failed("address_refused", why)
    return addresses


def send(
    method: str,
    url: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    allowed: Allowed = NOTHING,
    seconds: float = 30,
    most: int = MOST,
    resolve: Resolver = system_resolver,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """The answer to one request, whole, within `seconds` from now and of at most `most` bytes unpacked; else Failed.

    Answers of 400 and more are answers. `tls`: instead of the system's trust, which a certificate is held to.
    """
    began = time.monotonic()
    parts = read_url(url)
    host = _ascii(parts.hostname or "")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    addresses = addresses_of(host, port, allowed, seconds, resolve)
    call = _Call(host, port, began + seconds, (tls or ssl.create_default_context()) if secure else None)
    try:
        address = call.connect(addresses)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        name = f"[{host}]" if ":" in host else host
        named = name if parts.port is None else f"{name}:{parts.port}"
        sent = {"Host": named, "Accept-Encoding": "identity", "Connection": "close", **(headers or {})}
        status, found, data = call.ask(method, path, body, sent, most)
    finally:
        call.close()
    return Answer(status, found, data, str(address), time.monotonic() - began)


class _Call:
    """One connection with a deadline for all of it. Timeouts of sockets hold for a single read, and a peer that sends a
    byte a second never runs into one: at the deadline a timer shuts the connection, whatever is being waited for."""

    def __init__(self, host: str, port: int, until: float, tls: ssl.SSLContext | None) -> None:
        self.host, self.port, self.until, self.tls = host, port, until, tls
        self.late = False
        self.connection = http.client.HTTPConnection(host, port)
        self.handle: socket.socket | None = None
        self.timer = Timer(max(0.0, until - time.monotonic()), self._shut)
        self.timer.daemon = True

    @property
    def left(self) -> float:
        return max(0.01, self.until - time.monotonic())

    def _shut(self) -> None:
        self.late = True
        if self.handle is not None:
            try:
                self.handle.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the peer was quicker

    def connect(self, addresses: Sequence[Address]) -> Address:
        """Open the connection to the first address that answers; which one it is."""
        self.timer.start()
        problem: OSError | None = None
        for address in addresses:
            try:
                opened = socket.create_connection((str(address), self.port), timeout=self.left)
            except OSError as reason:
                problem = reason
                continue
            # The timer needs a handle of its own: TLS takes the socket apart.
            self.handle = opened.dup()
            if self.late:
                opened.close()
                break
            opened.settimeout(self.left)
            self.connection.sock = self._secured(opened)
            return address
        if self.late or isinstance(problem, TimeoutError):
            raise Failed("timeout", f"{self.host} did not take the connection in time.")
        raise Failed("connection", f"{self.host} does not take connections: {problem}.")

    def _secured(self, opened: socket.socket) -> socket.socket:
        if self.tls is None:
            return opened
        try:
            return self.tls.wrap_socket(opened, server_hostname=self.host)
        except OSError as problem:  # also SSLError
            opened.close()
            if self.late or isinstance(problem, TimeoutError):
                raise Failed("timeout", f"{self.host} did not finish the TLS handshake in time.") from None
            why = getattr(problem, "verify_message", "") or getattr(problem, "reason", "") or str(problem)
            raise Failed("tls", f"The TLS connection to {self.host} is not to be trusted: {why}.") from None

    def ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], most: int
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and unpacked body."""
        try:
            self.connection.request(method, path, body=body, headers=dict(headers))
            with self.connection.getresponse() as answer:
                found = {name.lower(): value for name, value in answer.getheaders()}
                if 300 <= answer.status < 400:
                    raise Failed("redirected", f"It answered {answer.status}; redirects are not followed.")
                data = _body(answer, found, most)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            self._explain(problem)
        if self.late:
            self._explain(TimeoutError())
        return answer.status, found, data

    def _explain(self, problem: Exception) -> NoReturn:
        if self.late or isinstance(problem, TimeoutError):
            raise Failed("timeout", "The answer was not complete in time.") from None
        if isinstance(problem, http.client.RemoteDisconnected | ConnectionError):
            raise Failed("connection", "The connection was closed before the answer.") from None
        if isinstance(problem, http.client.IncompleteRead):
            raise Failed("connection", "The connection was closed in the middle of the answer.") from None
        raise Failed(
            "protocol", f"The answer is not HTTP: {str(problem)[:200] or type(problem).__name__}."
        ) from None

    def close(self) -> None:
        self.timer.cancel()
        self.connection.close()
        if self.handle is not None:
            self.handle.close()


def _body(answer: http.client.HTTPResponse, headers: Mapping[str, str], most: int) -> bytes:
    """The whole body, unpacked, at most `most` bytes of it: nothing beyond is kept in memory."""
    packed = headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise Failed("protocol", f"The answer is packed as “{packed[:40]}”, which was not asked for.")
    if (answer.length or 0) > most:
        raise Failed("too_large", f"The answer has more than {most:,} bytes.")
    unpacker = zlib.decompressobj(47 if "gzip" in packed else 15) if packed not in ("identity", "") else None
    found = bytearray()
    read = 0
    while piece := answer.read(PIECE):
        read += len(piece)
        try:
            found += unpacker.decompress(piece, most + 1 - len(found)) if unpacker else piece
        except zlib.error:
            raise Failed("protocol", "The answer is not packed as it says.") from None
        if len(found) > most or read > most:
            raise Failed("too_large", f"The answer has more than {most:,} bytes.")
    if answer.length:  # what was promised and did not come
        raise http.client.IncompleteRead(b"", answer.length)
    if unpacker is not None and not unpacker.eof:
        raise http.client.IncompleteRead(b"")
    return bytes(found)
