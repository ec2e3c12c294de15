"""A real Ray cluster of one machine for tests: started, killed and taken away again.

It is started as docs/operations.md says, with its driver; for root both run as `nobody`. Its
processes are a group of their own, which ends when the test's process does, however that is.
"""

import ipaddress
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from coordinator.adapters.engines.cluster_access import ClusterAccess, environment
from coordinator.config import DriverSettings, EngineTls, S3Access
from tests.loopback import HOUR, pem, utc_now

PROCESSORS = 2
NOWHERE = "http://127.0.0.1:9"
"""Where what Ray reports of itself ends, though it is told to report nothing."""

# Ray starts its processes and is gone; whoever holds this one's input open is the test's process.
_WATCH = """
driver=$1; shift
"$@" >&2 </dev/null || exit 1
(cd /; exec $driver >&2 </dev/null) &
echo; cat >/dev/null; kill -s KILL 0
"""


@dataclass
class Cluster:
    """One cluster and its driver; `kill` and `start` as a power cut and the power's return."""

    folder: Path
    access: ClusterAccess
    token: bool = True
    report: str = NOWHERE
    s3: S3Access | None = None
    path: str = ""
    _group: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def socket(self) -> Path:
        """Where its driver listens."""
        return self.folder / "driver.sock"

    def start(self) -> None:
        """Start it and return when it answers."""
        command = [Path(sysconfig.get_path("scripts"), "ray"), "start", "--head"]
        options = {
            "port": self.access.address.rpartition(":")[2],
            "num-cpus": PROCESSORS,
            "include-dashboard": "false",
            "ray-client-server-port": free_port(),
            "object-store-memory": 80_000_000,
            "temp-dir": self.folder,
        }
        named = [f"--{name}={value}" for name, value in options.items()]
        self._group = subprocess.Popen(
            [*_as_nobody(), "sh", "-c", _WATCH, "sh", self._driver(), *command,
             "--disable-usage-stats", *named],
            env={
                **_surroundings(self.access, self.folder, self.report, token=self.token),
                **({"PYTHONPATH": self.path} if self.path else {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        assert self._group.stdout is not None
        assert self._group.stdout.readline() == b"\n"
        if self.token:
            wait_until(self._drives)

    def kill(self) -> None:
        """End all of its processes at once."""
        if self._group is not None:
            self._group.communicate()
            self._group = None

    def adding(self) -> list[int]:
        """Return the processes that add at the moment."""
        return [pid for pid in self._processes() if _command(pid).startswith("ray::add")]

    def drivers(self) -> list[int]:
        """Return the processes that speak to the cluster, each for a fold."""
        return [pid for pid in self._processes() if b"spawn_main" in _arguments(pid)]

    def of(self, name: str) -> int:
        """Return the process that runs the programme of that name."""
        (pid,) = [each for each in self._processes() if Path(_command(each)).name == name]
        return pid

    def _driver(self) -> str:
        """Return the command of its driver, whose settings are written."""
        tls, s3 = self.access.tls, self.s3
        settings = DriverSettings(self.socket, self.access.address, self.access.token, tls, s3)
        file = self.folder / "driver.toml"
        file.write_text(tomlkit.dumps(_plain(settings)))
        return f"{sys.executable} -m veilsum coordinator driver --config {file}"

    def _drives(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asked:
            return asked.connect_ex(str(self.socket)) == 0

    def _processes(self) -> list[int]:
        assert self._group is not None
        session = str(self._group.pid)
        return [
            int(path.name)
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and _session(path) == session
        ]


@contextmanager
def cluster(
    *,
    token: bool = True,
    tls: EngineTls | None = None,
    report: str = NOWHERE,
    s3: S3Access | None = None,
    path: str = "",
) -> Iterator[Cluster]:
    """A cluster that has started, of this machine's own.

    Args:
        token: False for one that lets in whoever connects; it has no driver.
        tls: what its processes show each other; they speak in the clear without it.
        report: where what Ray reports of itself goes.
        s3: how its workers reach a bucket.
        path: where its workers' packages are, if not where this process's are.
    """
    # Short: the paths of its sockets have room for no long one.
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    access = ClusterAccess(address(), write_token(folder / "token"), tls)
    (folder / "ray_bootstrap_config.yaml").write_text("{}")
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    made = Cluster(folder, access, token, report, s3, path)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _as_nobody() -> list[str]:
    """Return what starts a command under another account, which may read and write our files.

    As one that a group of this machine lets in to them; the interpreter may lie in a home folder.
    """
    if os.geteuid() != 0:
        return []
    files = "-all,+dac_override"
    return [
        "setpriv", "--reuid=nobody", "--clear-groups", f"--inh-caps={files}",
        f"--ambient-caps={files}", f"--bounding-set={files}",
    ]  # fmt: skip


def _plain(settings: DriverSettings) -> Any:
    """Return settings as TOML has them, which has no null."""
    body = msgspec.to_builtins(settings, enc_hook=str)
    tables = {
        name: {key: each for key, each in value.items() if each is not None}
        for name, value in body.items()
        if isinstance(value, dict)
    }
    return {name: value for name, value in {**body, **tables}.items() if value is not None}


def write_token(path: Path) -> Path:
    """Write a new token."""
    path.write_text(secrets.token_hex(32))
    path.chmod(0o600)
    return path


def write_certificates(folder: Path) -> EngineTls:
    """Write an authority and this machine's certificate and key, for a cluster of its own."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority, machine = _name("authority"), _name("machine")
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", own_ip())]
    root = _certificate(authority, authority, authority_key.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = _certificate(machine, authority, key.public_key())
    leaf = leaf.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    made = EngineTls(folder / "machine.pem", folder / "machine.key", folder / "authority.pem")
    for path, builder in ((made.authority, root), (made.certificate, leaf)):
        path.write_bytes(builder.sign(authority_key, SHA256()).public_bytes(Encoding.PEM))
    made.key.touch(mode=0o600)
    made.key.write_bytes(pem(key))
    return made


def own_ip() -> str:
    """Return the address by which Ray calls this machine; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        try:
            found.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(found.getsockname()[0])


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = utc_now()
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    return builder.not_valid_before(now - HOUR).not_valid_after(now + HOUR)


def address() -> str:
    """Return an address of this machine at which nobody answers."""
    return f"127.0.0.1:{free_port()}"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until(holds, seconds=20.0) -> None:
    """Return once `holds` returns true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _surroundings(access: ClusterAccess, home: Path, report: str, *, token: bool) -> dict[str, str]:
    said = environment(access) if token else {"RAY_AUTH_MODE": "disabled"}
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_REPORT_URL": report}
    return {**os.environ, **said, **quiet, "HOME": str(home)}


def _command(pid: int) -> str:
    return _arguments(pid).split(b"\0")[0].decode()


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _session(process: Path) -> str:
    try:
        state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return ""
    return "" if state in "ZX" else session
