"""Tokens and passphrases of an enrolment are nowhere but where their owner put them."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from participant.joining.link import Link, parse
from participant.keys import load_keys
from tests.canary import files_below, hits
from tests.ports import own_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

MEMBER = "hospital-a"
VEILSUM = [sys.executable, "-P", "-m", "veilsum"]


@dataclass
class Enrolled:
    """Where everything is, and what nobody else may know."""

    folder: Path
    secrets: dict[str, bytes]
    token: bytes


def veilsum(folder: Path, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*VEILSUM, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


def begun(folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a command whose log is a file; as on a server, where it is kept."""
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [*VEILSUM, *words],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )


def wait_for(path: Path, text: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while text not in (path.read_text(errors="replace") if path.exists() else ""):
        assert time.monotonic() < deadline, path.read_text(errors="replace")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enrolled]:
    folder = tmp_path_factory.mktemp("canary")
    marker = f"passphrase-{secrets.token_hex(16)}"
    (folder / "passphrase").write_text(f"{marker}\n")
    (folder / "passphrase").chmod(0o600)
    ports = own_port(), own_port()
    made = veilsum(
        folder,
        *("coordinator", "init", "office", "--federation", "tiny", "--organisation", "Office"),
        *("--address", f"127.0.0.1:{ports[0]}", "--joining", f"127.0.0.1:{ports[1]}"),
        *("--bind", "127.0.0.1", "--passphrase", "passphrase", "--json"),
    )
    assert made.returncode == 0, made.stderr
    serving = ("coordinator", "serve", "--config", "office/coordinator.toml")
    coordinator = begun(folder, "coordinator", *serving)
    joining = None
    try:
        wait_for(folder / "coordinator.log", '"serving"')
        operator = ("--config", "office/operator/operator.toml", "--json")
        asked = veilsum(folder, "coordinator", "invite", MEMBER, *operator)
        assert asked.returncode == 0, asked.stderr
        link = json.loads(asked.stdout)["link"]
        where = ("--organisation", "Hospital", "--state", "site")
        joining = begun(folder, "join", "participant", "join", link, *where)
        wait_for(folder / "join.log", "approv")
        # A second use of the token, by somebody else: what is refused is logged.
        veilsum(
            folder, "participant", "join", link, "--organisation", "Mallory", "--state", "thief"
        )
        bundle = ("--config", "office/coordinator.toml", "--bundle", "bundle.tar", "--json")
        veilsum(folder, "doctor", *bundle, "--log", "coordinator.log", timeout=90)
        token = parse(link).token
        yield Enrolled(folder, {"token": token, "passphrase": marker.encode()}, token)
    finally:
        for process in (joining, coordinator):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(20)


def left_of(enrolled: Enrolled) -> dict[str, bytes]:
    """All that processes have written: logs, databases, state folders, the doctor's bundle."""
    folder = enrolled.folder
    own = [folder / "passphrase", folder / "bundle.tar"]
    found = {str(path): path.read_bytes() for path in files_below(folder, own)}
    with tarfile.open(folder / "bundle.tar") as bundle:
        for member in bundle.getmembers():
            body = bundle.extractfile(member)
            found[f"bundle: {member.name}"] = body.read() if body else b""
    return found


def test_tokens_and_passphrases_are_written_nowhere(enrolled: Enrolled) -> None:
    """The coordinator keeps a token's digest; the passphrase stays in its file."""
    left = left_of(enrolled)

    # Whoever joins keeps its token until it is in: an enrolment that was cut goes on with it.
    others = {name: body for name, body in left.items() if "/site/" not in name}
    assert any(name.endswith("coordinator.sqlite") for name in others)
    assert any(name.startswith("bundle: ") for name in others)
    assert hits(enrolled.secrets, others) == []


def test_the_keys_of_the_office_and_the_member_are_in_their_own_files(enrolled: Enrolled) -> None:
    """The operator's, the coordinator's and the member's, each."""
    folder = enrolled.folder
    owners = {"operator": folder / "office" / "operator" / "keys"}
    if (folder / "site" / "keys" / "signing.key").exists():
        owners[MEMBER] = folder / "site" / "keys"
    keys = {name: load_keys(path).signing.private_bytes_raw() for name, path in owners.items()}
    spared = tuple(str(path) for path in owners.values())

    left = {n: b for n, b in left_of(enrolled).items() if not n.startswith(spared)}

    assert MEMBER in keys
    assert hits(keys, left) == []


def test_the_look_would_have_found_them(enrolled: Enrolled) -> None:
    """The positive control: each where it is allowed to be, and names that all may know."""
    folder = enrolled.folder
    own = {"passphrase": (folder / "passphrase").read_bytes()}

    assert hits({"passphrase": enrolled.secrets["passphrase"]}, own)
    assert hits({"member": MEMBER.encode()}, left_of(enrolled))
    said = Link("127.0.0.1:1", enrolled.token, bytes(32), MEMBER).text().encode()
    assert hits(enrolled.secrets, {"a link in a log": said})
