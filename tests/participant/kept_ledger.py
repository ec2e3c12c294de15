"""A site's ledger as tests keep one: its site, its key, its dataset and what a round costs."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.ledger.peers import Peers
from participant.ledger.site_ledger import SiteLedger
from participant.memory import Memory
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.budget import SpendLimits
from privacy.events import DpEvent, Events, Gaussian, PoissonSampled, SelfComposed
from privacy.ledger import Dataset
from privacy.signing import public_bytes

DELTA = 1e-3
LIMITS = SpendLimits(delta="0.001", epsilon_for_life="3", epsilon_per_round="2")
EVENT = SelfComposed(20, PoissonSampled("0.25", Gaussian("4")))
EVENTS = Events(EVENT, EVENT)
OUT, OTHER = "a" * 64, "b" * 64
PLAN, OVER = "d" * 64, "e" * 64
HEARTS = Dataset(
    id="hearts",
    version=1,
    parent=None,
    unit=UnitOfPrivacy.PATIENT,
    max_records_per_unit=4,
    neighbor=NeighbouringRelation.ADD_OR_REMOVE_ONE,
)


def key_of(name: str) -> Ed25519PrivateKey:
    """The signing key of somebody in a test; always the same."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public(name: str) -> str:
    """That key's public half, in hex."""
    return public_bytes(key_of(name)).hex()


KEY = key_of("north")


def peers(folder: Path, memory: Memory, site: str = "amber") -> Peers:
    """What a trainer has seen of others, in a ledger of its own with a dataset."""
    ledger = opened(folder / "ledger.sqlite", site=site)
    ledger.register(HEARTS)
    return Peers(site, memory, ledger)


def both(event: DpEvent) -> Events:
    """One event in both views, as under mechanism `local`."""
    return Events(event, event)


def opened(path: Path, **changes: Any) -> SiteLedger:
    """The ledger of the site `north` at `path`."""
    settled = {"site": "north", "limits": LIMITS, "key": KEY, **changes}
    return SiteLedger(path, lambda: 1_800_000_000.0, **settled)


def begun(path: Path, **changes: Any) -> SiteLedger:
    """The same, with its dataset registered."""
    ledger = opened(path, **changes)
    ledger.register(HEARTS)
    return ledger


def reserve(
    ledger: SiteLedger, job: str = "j-1", rounds: int = 1, events: Events = EVENTS, clip: str = "1"
) -> str:
    """Reserve rounds of the usual cost."""
    return ledger.reserve("hearts", job, events, clip, rounds, PLAN)


def types(ledger: SiteLedger) -> list[str]:
    """What happened, in order."""
    return [row.type.value for row in ledger.rows()]


def without_triggers(path: Path) -> sqlite3.Connection:
    """The database of somebody who may write the file."""
    database = sqlite3.connect(path, isolation_level=None)
    for name in ("row_follows", "row_stays", "row_remains"):
        database.execute(f"DROP TRIGGER {name}")
    return database
