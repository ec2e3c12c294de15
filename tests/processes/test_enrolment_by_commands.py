"""From nothing to a certificate, by the commands that people type, over real processes."""

import base64
import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from privacy.failpoints import VARIABLE
from tests.ports import own_port
from veilsum.federation.children import Children, children
from veilsum.federation.observe import events

SECONDS = 60.0


@dataclass
class Coordinator:
    """A coordinator that was begun by `init`, and its operator."""

    folder: Path
    family: Children
    ports: tuple[int, int]
    lives: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "coordinator"

    @property
    def operator(self) -> Path:
        return self.home / "operator" / "operator.toml"

    def begin(self, *more: str) -> None:
        address, joining = (f"127.0.0.1:{port}" for port in self.ports)
        command = ["coordinator", "init", str(self.home), "--federation", "heart"]
        command += ["--address", address, "--joining", joining, "--bind", "127.0.0.1"]
        ran(*command, "--organisation", "University", *more)

    def serve(self, failpoints: str = "") -> None:
        command = ["veilsum", "coordinator", "serve", "--config"]
        config = str(self.home / "coordinator.toml")
        self.family.start("coordinator", [*command, config], {VARIABLE: failpoints})
        self.lives.append(failpoints)
        wait_for(lambda: len(self.log("serving")) >= len(self.lives), "the coordinator to serve")

    def log(self, event: str) -> list[dict[str, object]]:
        return events(self.folder / "logs" / "coordinator.log", event)

    def ask(self, *words: str, status: int = 0) -> dict[str, object]:
        ended = run("coordinator", *words, "--config", str(self.operator), "--json")
        assert ended.returncode == status, ended.stdout + ended.stderr
        answer: dict[str, object] = json.loads(ended.stdout)
        return answer

    def invite(self, name: str, *more: str) -> str:
        return str(self.ask("invite", name, *more)["link"])

    def words(self, name: str) -> str:
        found: list[str] = []

        def asked() -> bool:
            listed = self.ask("invitations")["invitations"]
            found[:] = [e["words"] for e in listed if e["participant"] == name and e["words"]]
            return bool(found)

        wait_for(asked, f"{name} to ask")
        return found[-1]

    def join(self, name: str, link: str, state: Path | None = None) -> None:
        home = state or self.folder / name
        command = ["veilsum", "participant", "join", link, "--state", str(home)]
        self.family.start(name, [*command, "--organisation", f"House of {name}"], {})

    def wait_for_end(self, name: str) -> None:
        process = self.family.running[name]
        wait_for(lambda: process.poll() is not None, f"{name} to end")
        del self.family.running[name]
        assert process.returncode == 0, (self.folder / "logs" / f"{name}.log").read_text()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "veilsum", *words],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def ran(*words: str) -> str:
    ended = run(*words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def wait_for(holds, what: str) -> None:
    import time  # noqa: PLC0415

    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS:.0f} s"
        time.sleep(0.1)


@pytest.fixture
def coordinator(tmp_path):
    logs = tmp_path / "logs"
    with children(logs) as family:
        made = Coordinator(tmp_path, family, (own_port(), own_port()))
        made.begin()
        yield made


def test_a_member_joins_by_one_link_and_one_word_of_the_operator(coordinator):
    """init, serve, invite, join, approve: a certificate, and a member in the roster's draft."""
    coordinator.serve()
    link = coordinator.invite("hospital-a")

    coordinator.join("hospital-a", link)
    coordinator.ask("approve", "hospital-a", "--words", coordinator.words("hospital-a"))
    coordinator.wait_for_end("hospital-a")

    made = (coordinator.folder / "hospital-a" / "certificate.pem").read_bytes()
    anchor = (coordinator.folder / "hospital-a" / "authority.pem").read_bytes()
    (leaf,) = x509.load_pem_x509_certificates(made)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(anchor))
    members = coordinator.ask("members")["members"]
    assert [each["participant"] for each in members] == ["hospital-a", "operator"]
    assert members[0]["certified_until_seconds"] == int(leaf.not_valid_after_utc.timestamp())
    token = link.split("#v1.")[1].split(".")[0]
    secret = base64.urlsafe_b64decode(token + "=")
    everything = b"".join(path.read_bytes() for path in coordinator.home.rglob("*.sqlite*"))
    assert token.encode() not in everything
    assert secret not in everything
    assert token not in (coordinator.folder / "logs" / "coordinator.log").read_text()


def test_a_link_that_was_used_is_worth_nothing_and_the_attempt_is_an_event(coordinator):
    """S3: a stolen link after its use, an expired one, and one with another pin."""
    coordinator.serve()
    link = coordinator.invite("hospital-a")
    coordinator.join("hospital-a", link)
    words = coordinator.words("hospital-a")
    thief = coordinator.folder / "thief"

    stolen = run("participant", "join", link, "--state", str(thief), "--organisation", "Mallory")

    assert stolen.returncode == 3
    assert "other keys" in stolen.stderr
    assert [each["code"] for each in coordinator.log("enrolment_refused")] == ["invitation_refused"]
    coordinator.ask("approve", "hospital-a", "--words", words)
    coordinator.wait_for_end("hospital-a")
    assert len(coordinator.ask("members")["members"]) == 2


def test_the_operators_word_is_about_the_words_that_it_has_heard(coordinator):
    coordinator.serve()
    coordinator.join("hospital-a", coordinator.invite("hospital-a"))
    coordinator.words("hospital-a")

    refused = coordinator.ask(
        "approve", "hospital-a", "--words", "abandon ability able about", status=3
    )

    assert refused["code"] == "invitation_refused"
    assert coordinator.log("certificate_issued") == []


@pytest.mark.slow
@pytest.mark.parametrize("place", ["enrolment.before_decide", "enrolment.after_decide"])
def test_a_coordinator_killed_while_it_approves_enrols_once(coordinator, place):
    """The operator says it again, the site has never stopped asking."""
    coordinator.serve(f"{place}:1=kill")
    coordinator.join("hospital-a", coordinator.invite("hospital-a"))
    words = coordinator.words("hospital-a")

    coordinator.ask("approve", "hospital-a", "--words", words, status=5)
    died = coordinator.family.running.pop("coordinator")
    assert died.wait(SECONDS) == -signal.SIGKILL
    coordinator.serve()

    coordinator.ask("approve", "hospital-a", "--words", words)
    coordinator.wait_for_end("hospital-a")
    [member, _] = coordinator.ask("members")["members"]
    assert member["participant"] == "hospital-a"


def test_what_init_makes_is_its_owners_alone_and_never_made_twice(coordinator):
    keys = [path for path in coordinator.home.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in keys}
    command = ["coordinator", "init", str(coordinator.home), "--federation", "heart"]

    again = run(*command, "--address", "127.0.0.1:1", "--organisation", "University")

    assert again.returncode == 2
    assert "exists" in again.stderr
    assert {path: path.read_bytes() for path in keys} == before
    assert {oct(path.stat().st_mode & 0o077) for path in keys} == {"0o0"}


@pytest.mark.slow
def test_a_coordinator_killed_while_it_invites_has_made_no_link(coordinator):
    """The operator asks again, and one link works."""
    coordinator.serve("enrolment.before_invite:1=kill")
    coordinator.ask("invite", "hospital-a", status=5)
    died = coordinator.family.running.pop("coordinator")
    assert died.wait(SECONDS) == -signal.SIGKILL
    coordinator.serve()

    link = coordinator.invite("hospital-a")

    assert link.endswith(".hospital-a")
    assert len(coordinator.ask("invitations")["invitations"]) == 1
