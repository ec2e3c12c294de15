"""A coordinator process whose members enrol with links, and what its operator does."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import tomlkit

from coordinator.adapters import authority_files
from coordinator.adapters.authority import (
    certify_coordinator,
    certify_participant,
    make_issuing,
    make_root,
)
from coordinator.keys import make_signing_key
from participant.config import CoordinatorAddress
from participant.joining.init import REQUEST, init
from participant.joining.link import Link
from participant.joining.own import ENTRY
from participant.keys import load_keys
from participant.wire.channel import open_channel
from participant.wire.connect import connect
from participant.wire.tls import SiteCertificate
from privacy import canonical
from privacy.failpoints import VARIABLE
from privacy.initial import initial_vector
from privacy.roster import Role, Roster, decode_roster
from privacy.signing import Purpose, sign
from privacy.vectors import dimension, model_digest
from tests.ports import own_port
from veilsum.federation.beginning import TRUSTED
from veilsum.federation.children import Children, children
from veilsum.federation.observe import events
from veilsum.v1 import enrolment_pb2, enrolment_pb2_grpc, operator_pb2, operator_pb2_grpc

VEILSUM = str(Path(sys.executable).with_name("veilsum"))
SITES = Path(__file__).parent / "sites"
NAME = "tiny"
HOST = "127.0.0.1"
OPERATOR = "desk"
SHAPES = (("weight", (96, 96)), ("bias", (96,)))
MODEL = "tiny model 1"
DAY = timedelta(days=1)


@dataclass
class Office:
    """One coordinator that enrols, and whoever operates it."""

    folder: Path
    family: Children
    port: int
    joining_port: int
    certificate_seconds: int = 86_400

    @property
    def address(self) -> str:
        """Where it answers members."""
        return f"{HOST}:{self.port}"

    @property
    def joining(self) -> str:
        """Where it answers those who have no certificate."""
        return f"{HOST}:{self.joining_port}"

    def start(self, failpoints: str = "") -> None:
        """Start the coordinator, and return when it answers."""
        command = ["veilsum", "coordinator", "serve", "--config"]
        told = {VARIABLE: failpoints} if failpoints else {}
        self.family.start("coordinator", [*command, str(self.folder / "coordinator.toml")], told)
        self.wait_for("the coordinator", lambda: self.invitations() is not None)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.family.kill("coordinator")

    def died(self) -> int:
        """Return the status with which the coordinator has ended by itself."""
        return self.family.running.pop("coordinator").wait(30)

    def wait_for(self, what: str, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Return when it holds; nobody may die before, and an operator asks until it is told."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Exception):
                if holds():
                    return
            self.family.check()
            assert time.monotonic() < deadline, f"{what}\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        """Return the last lines of the coordinator's log."""
        path = self.folder / "logs" / "coordinator.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-25:])

    # -- the operator ---------------------------------------------------------------

    def invite(self, participant: str, *roles: str, seconds: int = 3600) -> str:
        """Return the link of a new invitation."""
        request = operator_pb2.InviteRequest(
            participant=participant, roles=roles or ("trainer",), ttl_seconds=seconds
        )
        made = self.ask("Invite", request)
        return Link(made.address, made.token, made.authority_fingerprint, participant).text()

    def invitations(self) -> dict[str, Any]:
        """Return the newest invitation of each member."""
        answer = self.ask("ListInvitations", operator_pb2.ListInvitationsRequest())
        return {each.participant: each for each in answer.invitations}

    def decide(self, participant: str, words: str, *, approve: bool = True) -> None:
        """Approve or refuse, by the words that were read over the phone."""
        reason = "" if approve else "not expected"
        self.ask(
            "Decide",
            operator_pb2.DecideRequest(
                participant=participant, approve=approve, words=words, reason=reason
            ),
        )

    def found(self) -> str:
        """Close version 0 and sign it as its operator; return its fingerprint."""
        closed = self.ask("CloseFounding", operator_pb2.CloseFoundingRequest())
        self.sign(OPERATOR, self.folder / OPERATOR)
        return str(closed.fingerprint)

    def propose(self, roster: Roster) -> str:
        """Put a version before the trainers."""
        request = operator_pb2.ProposeRequest(roster=canonical.encode(roster))
        return str(self.ask("Propose", request).fingerprint)

    def ask(self, method: str, request: Any) -> Any:
        """Return the answer to one call of the operator's."""

        async def call() -> Any:
            channel = open_channel(self.address, self._certificate())
            try:
                stub = operator_pb2_grpc.OperatorServiceStub(channel)
                return await getattr(stub, method)(request, timeout=10)
            finally:
                await channel.close()

        return asyncio.run(call())

    def operate(self, *words: str, who: str = OPERATOR, status: int = 0) -> Any:
        """Run one of an operator's commands, as it types it."""
        config = str(self.folder / who / "operator.toml")
        return self.veilsum("coordinator", *words, "--config", config, status=status)

    # -- members --------------------------------------------------------------------

    def veilsum(self, *words: str, status: int = 0, stdin: str = "") -> Any:
        """Run a command to its end, with --json, and return what it says."""
        ended = subprocess.run(
            [VEILSUM, *words, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            input=stdin,
            check=False,
        )
        assert ended.returncode == status, f"{words}\n{ended.stdout}\n{ended.stderr}"
        return json.loads(ended.stdout)

    def begin_join(self, name: str, link: str, *words: str, kind: str = "participant") -> Any:
        """Start `join` as a process of its own, whose words are on its stderr."""
        return subprocess.Popen(
            [VEILSUM, kind, "join", link, "--state", str(self.folder / name), *words, "--json"],
            stdout=subprocess.PIPE,
            stderr=(self.folder / f"{name}.words").open("w"),
            text=True,
        )

    def words_shown(self, name: str) -> str:
        """Return the four words that a member reads to the operator, as soon as it has them."""
        path = self.folder / f"{name}.words"
        self.wait_for(f"the words of {name}", lambda: "by phone:" in path.read_text())
        [line] = [each for each in path.read_text().splitlines() if "by phone:" in each]
        return line.partition("by phone:")[2].replace("·", " ")

    def join(self, *names: str, role: str = "trainer", kind: str = "participant") -> None:
        """Invite members, let them join, and approve each by the words that it shows."""
        begun = {
            name: self.begin_join(
                name, self.invite(name, role), "--organisation", f"Organisation {name}", kind=kind
            )
            for name in names
        }
        for name, process in begun.items():
            words = self.words_shown(name)
            self.wait_for(f"{name} to ask", lambda name=name: self.invitations()[name].words != "")
            self.decide(name, words)
            said, _ = process.communicate(timeout=30)
            assert process.returncode == 0, (self.folder / f"{name}.words").read_text()
            assert json.loads(said)["approved_by"] == OPERATOR

    def config(self, name: str) -> Path:
        """Return where a site's file is."""
        return self.folder / name / "site.toml"

    def confirm(self, name: str, fingerprint: str) -> Any:
        """Confirm the roster at a site."""
        path = str(self.config(name))
        return self.veilsum(
            "participant", "confirm", "--config", path, "--fingerprint", fingerprint
        )

    def fill_in(self, name: str, openers: Sequence[str]) -> None:
        """Do the data scientist's part: take away each `#`, and say what is true of the data."""
        path = self.config(name)
        document = tomlkit.parse(path.read_text())
        document["dataset"] = {"id": f"tiny-{name}", "site": "tiny_site:TinySite", "records": 8}
        document["policy"].update(
            first_model=MODEL,
            openers=list(openers),
            schemes=["ckks/1"],
            smallest_cohort=2,
            epsilon_per_round="3",
            epsilon_for_life="300",
            delta="0.001",
            unit="patient",
            neighbouring="add_remove",
            releases=["participation"],
            without_auditor=True,
        )
        path.write_text(tomlkit.dumps(document))

    def start_site(self, name: str) -> None:
        """Start a site's agent."""
        command = ["veilsum", "participant", "run", "--config", str(self.config(name))]
        self.family.start(name, command, {"PYTHONPATH": str(SITES)})

    def events(self, name: str, event: str) -> list[dict[str, object]]:
        """Return the events of one name in a process's log."""
        return events(self.folder / "logs" / f"{name}.log", event)

    def roster(self) -> Roster:
        """Return the newest version, as the coordinator shows it."""
        shown = asyncio.run(self._shown())
        return decode_roster(shown.versions[-1].body)

    def sign(self, name: str, state: Path) -> None:
        """Sign version 0 as a member that has compared it."""
        roster, keys = (
            decode_roster(asyncio.run(self._shown()).versions[0].body),
            load_keys(state / "keys"),
        )
        where = CoordinatorAddress(self.address, self.folder / TRUSTED, state / "certificate.pem")

        async def signed() -> None:
            coordinator = connect(where, keys)
            try:
                signature = sign(keys.signing, Purpose.ROSTER, canonical.encode(roster))
                await coordinator.sign_roster(0, signature)
            finally:
                await coordinator.close()

        asyncio.run(signed())

    async def _shown(self) -> Any:
        channel = open_channel(self.address, self._certificate())
        try:
            stub = enrolment_pb2_grpc.EnrolmentServiceStub(channel)
            return await stub.GetRoster(enrolment_pb2.GetRosterRequest(), timeout=10)
        finally:
            await channel.close()

    def _certificate(self) -> SiteCertificate:
        home = self.folder / OPERATOR
        return SiteCertificate(
            (self.folder / TRUSTED).read_bytes(),
            (home / "certificate.pem").read_bytes(),
            load_keys(home / "keys").tls_pem,
        )


@contextlib.contextmanager
def office(
    folder: Path,
    openers: Sequence[str] = ("site-a", "site-b", "site-c"),
    certificate_seconds: int = 86_400,
    wanted: int = 2,
) -> Iterator[Office]:
    """Give a coordinator that serves, with nobody in it but its operator.

    Args:
        wanted: models that its programme releases.
    """
    with children(folder / "logs") as family:
        made = Office(folder, family, own_port(), own_port(), certificate_seconds)
        _write_files(made, openers, wanted)
        made.start()
        yield made


def _write_files(made: Office, openers: Sequence[str], wanted: int) -> None:
    folder, now = made.folder, datetime.now(UTC)
    root = make_root(NAME, now=now, life=30 * DAY)
    issuing = make_issuing(root, now=now, life=20 * DAY)
    authority_files.save(folder / "authority", root, issuing, None)
    server = certify_coordinator(issuing, [HOST], now=now, life=DAY)
    _write(folder / TRUSTED, issuing.certificate_pem)
    _write(folder / "server.pem", server.certificate_pem)
    _write(folder / "server.key", server.key_pem)
    make_signing_key(folder / "signing.key")
    home = folder / OPERATOR
    init(home, NAME, OPERATOR, "The office", role=Role.OPERATOR)
    request = (home / REQUEST).read_bytes()
    certificate = certify_participant(issuing, request, OPERATOR, now=now, life=DAY)
    _write(home / "certificate.pem", certificate)
    operator = {
        "federation": NAME,
        "participant": OPERATOR,
        "state": str(home),
        "coordinator": {
            "address": made.address,
            "authority": str(folder / TRUSTED),
            "certificate": str(home / "certificate.pem"),
            "joining": made.joining,
        },
    }
    _write(home / "operator.toml", tomlkit.dumps(operator).encode())
    _write(folder / "coordinator.toml", tomlkit.dumps(_settings(made, openers, wanted)).encode())


def _settings(made: Office, openers: Sequence[str], wanted: int) -> dict[str, Any]:
    home = made.folder
    return {
        "federation": NAME,
        "state": str(home / "state"),
        "database": f"sqlite:///{home / 'coordinator.sqlite'}",
        "signing_key": str(home / "signing.key"),
        "listen": {
            "address": made.address,
            "joining": made.joining,
            "certificate": str(home / "server.pem"),
            "key": str(home / "server.key"),
            "authority": str(home / TRUSTED),
        },
        "enrolment": {
            "authority": str(home / "authority" / "authority.pem"),
            "authority_key": str(home / "authority" / "authority.key"),
            "operator": str(home / OPERATOR / ENTRY),
            "joining": made.joining,
            "addresses": [made.address],
            "certificate_seconds": made.certificate_seconds,
        },
        "scheme": {
            "fraction_bits": 18,
            "value_bits": 24,
            "cohort_max": 6,
            "ciphertexts_per_chunk": 1,
        },
        "rounds": {
            "wanted": wanted,
            "openers": list(openers),
            "cohort_minimum": 2,
            "quorum": 2,
            "agreement": 2,
            "clip": "20",
            "server_learning_rate": "1",
            "deadline": {"progress_seconds": "2", "abandon_seconds": "60"},
        },
        "model": {
            "dimension": dimension(SHAPES),
            "initial": model_digest(SHAPES, initial_vector(SHAPES, MODEL)),
        },
        "privacy": {
            "mechanism": "local",
            "unit": "patient",
            "neighbouring": "add_remove",
            "delta": "0.001",
            "releases": ["participation"],
            "training": {
                "kind": "local",
                "sampling_rate": "0.5",
                "noise_multiplier": "2.75",
                "steps": 2,
                "clip": "1",
                "learning_rate": "0.5",
                "divisor": 4,
            },
        },
    }


def _write(path: Path, body: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(body)
