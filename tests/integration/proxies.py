"""Proxies as Debian ships them, each started for one test in front of one coordinator."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_connection

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.missing_tools import missing, require_tool
from tests.ports import own_port

STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
INTERCEPTS = "Example Hospital Inspection"
"""What the authority of a network calls itself that looks into TLS."""

START_SECONDS = 20.0


@contextlib.contextmanager
def squid(folder: Path) -> Iterator[str]:
    """Give the setting of a squid that takes CONNECT, and nothing else."""
    with _squid(folder, "", "") as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def intercepting_squid(folder: Path) -> Iterator[str]:
    """Give the setting of a squid that ends TLS, under a certificate of its own authority."""
    certificate = folder / "inspection.pem"
    certificate.write_bytes(_inspection())
    bump = f"ssl-bump generate-host-certificates=off tls-cert={certificate}"
    with _squid(folder, bump, "ssl_bump bump all") as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def nginx_stream(folder: Path, coordinator: int) -> Iterator[str]:
    """Give the address of an nginx that passes TCP through."""
    if not STREAM.exists():
        missing("nginx cannot pass TCP: an administrator installs libnginx-mod-stream")
    port = own_port()
    proxied = f"listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{coordinator}; proxy_timeout 10m;"
    with _nginx(folder, port, f"load_module {STREAM};", f"stream {{ server {{ {proxied} }} }}"):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def nginx_grpc_pass(folder: Path, coordinator: int, server: Path) -> Iterator[str]:
    """Give the address of an nginx that ends TLS, with the coordinator's own certificate and key.

    Args:
        server: the folder that has them.
    """
    port = own_port()
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    site = (
        f"listen 127.0.0.1:{port} ssl http2; ssl_protocols TLSv1.3;"
        f"ssl_certificate {server}/server.pem; ssl_certificate_key {server}/server.key;"
        f"location / {{ grpc_pass grpcs://127.0.0.1:{coordinator}; }}"
    )
    http = f"http {{ access_log off; {temporary} server {{ {site} }} }}"
    with _nginx(folder, port, "", http):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def haproxy(folder: Path, coordinator: int) -> Iterator[str]:
    """Give the address of a haproxy that passes TCP through."""
    program, port = require_tool("haproxy", "haproxy"), own_port()
    path = folder / "haproxy.cfg"
    path.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 10m\n timeout server 10m\n"
        f"listen coordinator\n bind 127.0.0.1:{port}\n server only 127.0.0.1:{coordinator}\n"
    )
    with _running([str(program), "-db", "-f", str(path)], port, folder):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def _squid(folder: Path, bump: str, rules: str) -> Iterator[int]:
    program, port = require_tool("squid", "squid-openssl"), own_port()
    path = folder / "squid.conf"
    # Started by root, it writes as another user, who may not look into a test's own folder.
    with tempfile.TemporaryDirectory() as logs:
        Path(logs).chmod(0o777)
        path.write_text(
            f"http_port 127.0.0.1:{port} {bump}\n{rules}\n"
            "acl tunnel method CONNECT\nhttp_access allow tunnel\nhttp_access deny all\n"
            "cache deny all\ncache_mem 1 MB\nmax_filedescriptors 256\npid_filename none\n"
            f"access_log stdio:{logs}/access.log\ncache_log {logs}/cache.log\n"
            f"coredump_dir {logs}\nshutdown_lifetime 1 seconds\n"
        )
        with _running([str(program), "-N", "-n", f"veilsum{port}", "-f", str(path)], port, folder):
            yield port
        for name in ("access.log", "cache.log"):
            shutil.copy(Path(logs) / name, folder / name)


@contextlib.contextmanager
def _nginx(folder: Path, port: int, before: str, body: str) -> Iterator[None]:
    program = require_tool("nginx", "nginx-light")
    path = folder / "nginx.conf"
    path.write_text(
        f"{before}\ndaemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{ }}\n{body}\n"
    )
    with _running([str(program), "-p", str(folder), "-c", str(path)], port, folder):
        yield


@contextlib.contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, port, folder)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _wait(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError((folder / "proxy.log").read_text())


def _inspection() -> bytes:
    """Return a certificate by an authority that nobody here trusts, and its key."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now, day = datetime.now(UTC), timedelta(days=1)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, INTERCEPTS)])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    builder = x509.CertificateBuilder().issuer_name(issuer).subject_name(x509.Name([]))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    certificate = builder.add_extension(names, critical=True).sign(authority, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + private
