"""An S3-compatible store on loopback, for tests: moto's server, with faults on demand.

Real S3 decides each conditional put by itself; moto looks first and writes then, so puts are let
in one by one here. Credentials are files, as an operator has them; moto checks none of them.
"""

import os
import secrets
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from coordinator.config import S3Access

PAGE = 16
"""Names in one page of a list; real stores give 1,000."""

Fault: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes] | None]
"""Told of each request, before the store is; answers in its place, or with None leaves it to it."""


@dataclass
class Server:
    """A running store; `fault` may be set at any time."""

    endpoint: str
    folder: Path
    fault: Fault | None = None
    requests: list[str] = field(default_factory=list)
    store: Fault = field(default=lambda *_: None, repr=False)
    _made: int = 0

    def access(self) -> S3Access:
        """Return how this store is reached."""
        files = [self.folder / name for name in ("access.key", "secret.key")]
        for path in files:
            path.write_text("testing\n")
            path.chmod(0o600)
        return S3Access(endpoint=self.endpoint, access_key=files[0], secret_key=files[1])

    def fresh_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        self._made += 1
        name = f"veilsum-{secrets.token_hex(6)}-{self._made}"
        self.ask("PUT", name)
        return name

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask the store something, as another of its clients."""
        request = urllib.request.Request(f"{self.endpoint}/{path}", data=body, method=method)
        request.add_header("Content-Type", "application/xml")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Run a store of one's own, with its credentials' files in `folder`."""
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - most tests need no store
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    os.environ["MOTO_S3_DEFAULT_MAX_KEYS"] = str(PAGE)
    turn, moto = threading.Lock(), DomainDispatcherApplication(create_backend_app)

    def store(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        with turn:
            return list(moto(environ, start))

    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        running.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        failed = running.fault and running.fault(environ, start)
        if failed is not None:
            return failed
        return store(environ, start)

    serving = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    running = Server(f"http://127.0.0.1:{serving.server_port}", folder, store=store)
    thread = threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one store of this worker's tests."""
    with server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def s3_address(s3_server: Server) -> Iterator[str]:
    """The address of an empty store; no fault outlives its test."""
    yield f"s3://{s3_server.fresh_bucket()}/federation"
    s3_server.fault = None


@pytest.fixture
def s3_access(s3_server: Server) -> S3Access:
    """How the store at `s3_address` is reached."""
    return s3_server.access()


def refuse(status: str, code: str, *, times: int = 1 << 30, method: str = "") -> Fault:
    """Return the fault of a store that answers `status` with an error's code, that many times."""
    left = [times]

    def fault(environ: dict[str, Any], start: Any) -> Iterable[bytes] | None:
        if not left[0] or not environ["REQUEST_METHOD"].startswith(method):
            return None
        left[0] -= 1
        start(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]

    return fault


def cut(times: int = 1 << 30, *, method: str = "PUT", after: Fault | None = None) -> Fault:
    """Return the fault of a network that cuts connections, before or after the store has acted.

    Args:
        after: acts first, and its answer is lost.
    """
    left = [times]

    def fault(environ: dict[str, Any], start: Any) -> Iterable[bytes] | None:
        if not left[0] or environ["REQUEST_METHOD"] != method:
            return None
        left[0] -= 1
        if after is not None:
            after(environ, lambda *_: None)
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError

    return fault
