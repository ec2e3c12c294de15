"""Set up the demo's federation: what its operator and its founding members would do by hand."""

import ipaddress
import os
from collections.abc import Sequence
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
from participant.init import ENTRY, REQUEST
from privacy import canonical
from privacy.initial import initial_vector
from privacy.roster import Member, Roster
from privacy.vectors import dimension, model_digest

from . import settings as agreed
from .clinical_data import patients_of
from .settlement import Programme

FEDERATION = "breast-cancer"
HOSPITALS = {
    "hospital-a": ("Hospital A", "HospitalA"),
    "hospital-b": ("Hospital B", "HospitalB"),
    "hospital-c": ("Hospital C", "HospitalC"),
    "hospital-d": ("Hospital D", "HospitalD"),
}
OPENERS = ("hospital-a", "hospital-b", "hospital-c")
KILLED = "hospital-d"
LOOPBACK = "127.0.0.1"
PROGRESS_SECONDS = "3"
ABANDON_SECONDS = "60"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Places:
    """Where everything of one demo lies."""

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
        """Return a hospital's folder."""
        return self.root / name

    def witness(self, name: str) -> Path:
        """Return the folder of what a hospital's witness noted."""
        return self.root / "witness" / name


def first_model_digest() -> str:
    """Return the digest of the public model that the first round starts from."""
    vector = initial_vector(agreed.DEMO_SHAPES, agreed.MODEL_SEED_TEXT)
    return model_digest(agreed.DEMO_SHAPES, vector)


def found(
    places: Places, federation: str = FEDERATION, sites: Sequence[str] = tuple(HOSPITALS)
) -> Roster:
    """Write the roster's draft and everybody's certificates; return the roster.

    Each site has made its keys by then; only its public entry and its certificate
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
    for name in sites:
        request = (places.site(name) / REQUEST).read_bytes()
        certificate = certify_participant(authority, request, name, now=now, life=_DAY)
        _write(places.site(name) / "certificate.pem", certificate)
        _write(places.site(name) / "authority.pem", authority.certificate_pem)
    entries = [(places.site(name) / ENTRY).read_bytes() for name in sites]
    roster = Roster(
        federation=federation,
        version=0,
        coordinator_key=key.public_key().public_bytes_raw(),
        members=tuple(canonical.decode(entry, Member) for entry in entries),
    )
    _write(places.roster, canonical.encode(roster))
    return roster


def configure_coordinator(places: Places, programme: Programme | None) -> Path:
    """Write the coordinator's configuration and return its path."""
    home = places.coordinator
    document: dict[str, object] = {
        "federation": FEDERATION,
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
        "scheme": {
            "fraction_bits": agreed.DEMO_GRID.fraction_bits,
            "value_bits": agreed.DEMO_GRID.value_bits,
            "cohort_max": len(HOSPITALS),
            "ciphertexts_per_chunk": 1,
        },
        "rounds": {
            "wanted": agreed.ROUNDS,
            "openers": list(OPENERS),
            "cohort_minimum": 3,
            "quorum": 3,
            "agreement": 2,
            "clip": agreed.UPDATE_CLIP,
            "server_learning_rate": agreed.SERVER_LEARNING_RATE,
            "deadline": {
                "progress_seconds": PROGRESS_SECONDS,
                "abandon_seconds": ABANDON_SECONDS,
            },
        },
        "model": {
            "dimension": dimension(agreed.DEMO_SHAPES),
            "initial": first_model_digest(),
        },
        "privacy": {
            "mechanism": "local",
            "unit": "patient",
            "neighbouring": "add_remove",
            "delta": agreed.DELTA,
            "releases": ["participation"],
            "training": canonical.builtins(agreed.DEMO_TRAINING),
        },
    }
    if programme is not None:
        document["settlement"] = programme.for_coordinator(home)
    return _toml(home / "coordinator.toml", document)


def configure_site(
    places: Places, name: str, address: str, fingerprint: str, programme: Programme | None
) -> Path:
    """Write a hospital's `site.toml`, its policy included, and return its path."""
    home, (_, site) = places.site(name), HOSPITALS[name]
    document: dict[str, object] = {
        "federation": FEDERATION,
        "participant": name,
        "state": str(home),
        "coordinator": {
            "address": address,
            "authority": str(home / "authority.pem"),
            "certificate": str(home / "certificate.pem"),
        },
        "dataset": {
            "id": f"wdbc-{name}",
            "site": f"veilsum.demo.hospitals:{site}",
            "records": len(patients_of(name).malignant),
        },
        "policy": {
            "roster": fingerprint,
            "openers": list(OPENERS),
            "first_model": agreed.MODEL_SEED_TEXT,
            "schemes": ["ckks/1"],
            "smallest_cohort": 3,
            "epsilon_per_round": agreed.EPSILON_LIMIT,
            "epsilon_for_life": agreed.EPSILON_LIMIT,
            "delta": agreed.DELTA,
            "unit": "patient",
            "neighbouring": "add_remove",
            "releases": ["participation"],
            "without_auditor": True,
        },
    }
    if programme is not None:
        document["settlement"] = programme.for_site(home)
    return _toml(home / "site.toml", document)


def init_arguments(places: Places, name: str) -> Sequence[str]:
    """Return the command by which a hospital makes its keys, in a process of its own."""
    organisation, _ = HOSPITALS[name]
    command = ["veilsum", "participant", "init", "--chain", "--state", str(places.site(name))]
    names = ["--federation", FEDERATION, "--participant", name, "--organisation", organisation]
    return [*command, *names]


def _toml(path: Path, document: dict[str, object]) -> Path:
    _write(path, tomlkit.dumps(document).encode())
    return path


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(body)
