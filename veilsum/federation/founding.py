"""Found a federation on this machine: what its operator and its founding members do by hand."""

import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import tomlkit

from coordinator.adapters.authority import (
    certify_coordinator,
    certify_participant,
    make_authority,
    save_authority,
)
from coordinator.keys import make_signing_key
from participant.joining.init import REQUEST
from participant.joining.own import ENTRY
from privacy import canonical
from privacy.plan import SHARES
from privacy.roster import Member, Roster

LOOPBACK = "127.0.0.1"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Places:
    """Where everything of one federation lies."""

    root: Path

    @property
    def coordinator(self) -> Path:
        """The coordinator's folder."""
        return self.root / "coordinator"

    @property
    def database(self) -> str:
        """The coordinator's database."""
        return f"sqlite:///{self.coordinator / 'coordinator.sqlite'}"

    @property
    def roster(self) -> Path:
        """The roster: every member's public keys."""
        return self.root / "roster.json"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.root / "logs"

    def site(self, name: str) -> Path:
        """Return a member's folder."""
        return self.root / name


def found(places: Places, federation: str, members: Sequence[str]) -> Roster:
    """Write the roster's draft and everybody's certificates; return the roster.

    Each member has made its keys by then; only its public entry and its certificate
    request are read here.
    """
    places.coordinator.mkdir(mode=0o700, parents=True)
    now = datetime.now(UTC)
    authority = make_authority(federation, now=now, life=2 * _DAY)
    save_authority(authority, places.coordinator / "authority")
    server = certify_coordinator(
        authority, [str(ipaddress.ip_address(LOOPBACK))], now=now, life=_DAY
    )
    _write(places.coordinator / "server.pem", server.certificate_pem)
    _write(places.coordinator / "server.key", server.key_pem)
    _write(places.coordinator / "authority.pem", authority.certificate_pem)
    key = make_signing_key(places.coordinator / "signing.key")
    for name in members:
        request = (places.site(name) / REQUEST).read_bytes()
        certificate = certify_participant(authority, request, name, now=now, life=_DAY)
        _write(places.site(name) / "certificate.pem", certificate)
        _write(places.site(name) / "authority.pem", authority.certificate_pem)
    entries = [(places.site(name) / ENTRY).read_bytes() for name in members]
    roster = Roster(
        federation=federation,
        version=0,
        coordinator_key=key.public_key().public_bytes_raw(),
        members=tuple(canonical.decode(entry, Member) for entry in entries),
    )
    _write(places.roster, canonical.encode(roster))
    return roster


def coordinator_files(places: Places, federation: str) -> dict[str, object]:
    """Return the part of `coordinator.toml` that says where things are."""
    home = places.coordinator
    return {
        "federation": federation,
        "state": str(home),
        "database": places.database,
        "signing_key": str(home / "signing.key"),
        "roster": str(places.roster),
        "listen": {
            "address": f"{LOOPBACK}:0",
            "certificate": str(home / "server.pem"),
            "key": str(home / "server.key"),
            "authority": str(home / "authority.pem"),
        },
    }


def member_files(places: Places, federation: str, name: str, address: str) -> dict[str, object]:
    """Return the part of a member's own file that says where things are."""
    home = places.site(name)
    return {
        "federation": federation,
        "participant": name,
        "state": str(home),
        "coordinator": {
            "address": address,
            "authority": str(home / "authority.pem"),
            "certificate": str(home / "certificate.pem"),
        },
    }


def init_arguments(
    places: Places, federation: str, name: str, organisation: str, *, chain: bool
) -> Sequence[str]:
    """Return the command by which a site makes its keys, in a process of its own."""
    command = _init_arguments("participant", places.site(name), federation, name, organisation)
    return [*command, *(["--chain"] if chain else [])]


def auditor_init_arguments(
    places: Places, federation: str, name: str, organisation: str
) -> Sequence[str]:
    """Return the command by which an auditor makes its keys, in a process of its own."""
    return _init_arguments("auditor", places.site(name), federation, name, organisation)


def seat_init_arguments(
    places: Places, federation: str, name: str, organisation: str
) -> Sequence[str]:
    """Return the command by which a seat makes its keys, in a process of its own."""
    return _init_arguments("aggregator", places.site(name), federation, name, organisation)


def configure_auditor(
    places: Places, roster: Roster, name: str, address: str, smallest_cohort: int, scheme: str
) -> Path:
    """Write an auditor's file, and return its path."""
    policy = _outsiders_policy(roster, smallest_cohort, scheme)
    files = member_files(places, roster.federation, name, address)
    return write_settings(places.site(name) / "auditor.toml", {**files, "policy": policy})


def configure_seat(
    places: Places, roster: Roster, name: str, address: str, smallest_cohort: int
) -> Path:
    """Write a seat's file, and return its path."""
    policy = _outsiders_policy(roster, smallest_cohort, SHARES)
    files = member_files(places, roster.federation, name, address)
    return write_settings(places.site(name) / "aggregator.toml", {**files, "policy": policy})


def write_settings(path: Path, document: Mapping[str, object]) -> Path:
    """Write a TOML file that only its owner reads, and return its path."""
    _write(path, tomlkit.dumps(document).encode())
    return path


def _outsiders_policy(roster: Roster, smallest_cohort: int, scheme: str) -> Mapping[str, object]:
    """Return the policy of a member that brings no data."""
    return {"roster": roster.digest(), "schemes": [scheme], "smallest_cohort": smallest_cohort}


def _init_arguments(
    kind: str, state: Path, federation: str, name: str, organisation: str
) -> Sequence[str]:
    command = ["veilsum", kind, "init", "--state", str(state), "--federation", federation]
    return [*command, "--participant", name, "--organisation", organisation]


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(body)
