"""Servers on loopback that answer as networks do: refuse, drop, intercept, speak HTTP/1."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from coordinator.adapters.authority import ServerIdentity
from tests.loopback import Federation
from veilsum.doctor.edges import Edges
from veilsum.doctor.finding import Finding, Level
from veilsum.doctor.way import Address, Way
from veilsum.release import METADATA, RELEASE, TIME
from veilsum.v1 import joining_pb2, joining_pb2_grpc

SECONDS = 2.0
HOST = "127.0.0.1"
Serve = Callable[[socket.socket], None]


def way_to(port: int, proxy: int | None = None, seconds: float = SECONDS) -> Way:
    """Return the way to a port of loopback, through the proxy at another one."""
    return Way(Address(HOST, port), None if proxy is None else Address(HOST, proxy), seconds)


def edges(**others) -> Edges:
    """Return the real world, but for an environment that names nothing, and what is named here."""
    return Edges(**{"environment": {}, **others})


def found(findings: list[Finding], check: str) -> Finding:
    """Return the one finding of a check."""
    (only,) = [each for each in findings if each.check == check]
    return only


def bad(findings: list[Finding]) -> dict[str, Level]:
    """Return what is not well, by check."""
    return {each.check: each.level for each in findings if each.level is not Level.OK}


def fingerprint(federation: Federation) -> bytes:
    """Return what a join link says of the authority."""
    root = x509.load_pem_x509_certificate(federation.authority.certificate_pem)
    return sha256(root.public_bytes(Encoding.DER)).digest()


@contextmanager
def served(serve: Serve) -> Iterator[int]:
    """Run `serve` for every connection to a port of loopback."""
    with socket.create_server((HOST, 0)) as listener:
        stopped = threading.Event()

        def one(plain):
            with plain, contextlib.suppress(OSError):
                plain.settimeout(5)
                serve(plain)

        def run():
            while not stopped.is_set():
                with contextlib.suppress(OSError):
                    plain, _ = listener.accept()
                    threading.Thread(target=one, args=(plain,), daemon=True).start()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            with contextlib.suppress(OSError):
                socket.create_connection(listener.getsockname(), 1).close()
            thread.join(5)


@contextmanager
def joining_port(
    federation: Federation, clock: Callable[[], float] | None = None, authority: bytes | None = None
) -> Iterator[int]:
    """Answer whom nobody knows, as a coordinator does at `listen.joining`."""

    class Desk(joining_pb2_grpc.JoinServiceServicer):
        async def GetAuthority(self, request, context):  # noqa: N802
            said = ((METADATA, RELEASE),) + (((TIME, f"{clock():.3f}"),) if clock else ())
            context.set_trailing_metadata(said)
            pem = authority or federation.authority.certificate_pem
            return joining_pb2.GetAuthorityResponse(authority=pem)

    identity = federation.server
    credentials = grpc.ssl_server_credentials([(identity.key_pem, identity.certificate_pem)])
    ports: list[int] = []
    ready, stop = threading.Event(), threading.Event()

    async def run():
        server = grpc.aio.server()
        joining_pb2_grpc.add_JoinServiceServicer_to_server(Desk(), server)
        ports.append(server.add_secure_port(f"{HOST}:0", credentials))
        await server.start()
        ready.set()
        await asyncio.to_thread(stop.wait)
        await server.stop(None)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait(10)
    try:
        yield ports[0]
    finally:
        stop.set()
        thread.join(10)


def tls_context(identity: ServerIdentity, folder: Path, *protocols: str) -> ssl.SSLContext:
    """Return what a TLS server shows that is not ours."""
    path = folder / "shown.pem"
    path.write_bytes(identity.certificate_pem + identity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def http_answers(context: ssl.SSLContext, server: str) -> Serve:
    """Return what answers HTTP/1.1 behind TLS, as whatever ends TLS does."""

    def serve(plain):
        with context.wrap_socket(plain, server_side=True) as tls:
            if tls.recv(4096):
                tls.sendall(f"HTTP/1.1 400 Bad Request\r\nServer: {server}\r\n\r\n".encode())

    return serve


def connect_proxy(answer: bytes = b"") -> Serve:
    """Return a proxy that opens tunnels, or says `answer` to whoever asks."""

    def serve(plain):
        head = plain.recv(4096)
        if not head:
            return
        if answer:
            plain.sendall(answer)
            return
        target = head.split()[1].decode()
        with socket.create_connection((HOST, int(target.rpartition(":")[2])), 5) as onward:
            plain.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pumping = threading.Thread(target=_pump, args=(onward, plain), daemon=True)
            pumping.start()
            _pump(plain, onward)
            pumping.join(5)

    return serve


def interceptor(context: ssl.SSLContext, port: int) -> Serve:
    """Return what opens TLS, shows a certificate of its own, and passes on what it reads."""

    def serve(plain):
        onward_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        onward_context.check_hostname, onward_context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain, server_side=True) as tls:
            protocol = tls.selected_alpn_protocol()
            if protocol:
                onward_context.set_alpn_protocols([protocol])
            with (
                socket.create_connection((HOST, port), 5) as line,
                onward_context.wrap_socket(line) as onward,
            ):
                _pump_both(tls, onward)

    return serve


def _pump_both(one: ssl.SSLSocket, other: ssl.SSLSocket) -> None:
    one.settimeout(0.05)
    other.settimeout(0.05)
    ends = [(one, other), (other, one)]
    idle = 0
    while idle < 100:
        idle += 1
        for source, sink in ends:
            with contextlib.suppress(TimeoutError):
                body = source.recv(65536)
                if not body:
                    return
                sink.sendall(body)
                idle = 0


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while body := source.recv(65536):
            sink.sendall(body)
        sink.shutdown(socket.SHUT_WR)


def shifted(seconds: float, now: Callable[[], datetime]) -> Callable[[], float]:
    """Return a clock of a server, so many seconds ahead."""
    return lambda: now().timestamp() + seconds
