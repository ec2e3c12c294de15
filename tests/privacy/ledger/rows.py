"""Rows as tests write them: one site, one dataset, one job."""

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from privacy import canonical
from privacy.accounting import ACCOUNTANT, NeighbouringRelation, UnitOfPrivacy
from privacy.budget import SpendLimits, costs_of
from privacy.events import Events, Gaussian
from privacy.ledger import (
    Charged,
    Cumulative,
    Dataset,
    LedgerState,
    Noise,
    Released,
    Result,
    Row,
    RowType,
    Witness,
    divergences_of,
    follow,
    idempotency_of,
    policy_of,
)
from privacy.signing import public_bytes

DATASET = Dataset(
    "hearts", 1, None, UnitOfPrivacy.PATIENT, 4, NeighbouringRelation.ADD_OR_REMOVE_ONE
)
EVENTS = Events(Gaussian("8"), Gaussian("4"))
COSTS = costs_of(EVENTS)
LIMITS = SpendLimits("0.001", "3", "2")
SUMS = Cumulative("0.001", Charged("0", "1"), Charged("0", "2"))
OUT = "a" * 64
COST: dict[str, Any] = {"event": EVENTS, "rdp": divergences_of(COSTS), "cum": SUMS}
HELD: dict[str, Any] = {"job": "j-1", "reservation": "r-1"}
ROUND: dict[str, Any] = {"job": "j-1", "round": 1}


def key_of(name: str) -> Ed25519PrivateKey:
    """The signing key of somebody in a test; always the same."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public(name: str) -> str:
    """That key's public half, in hex."""
    return public_bytes(key_of(name)).hex()


REGISTER: dict[str, Any] = {"type": RowType.DATASET_REGISTER}
RESERVE = {**HELD, **COST, "type": RowType.RESERVE, "rounds": 2, "clip": "1"}
COMMIT = {**HELD, **COST, "type": RowType.COMMIT, "round": 1, "clip": "1", "out": OUT}
SENT = {**HELD, "type": RowType.SENT, "round": 1, "out": OUT}
RETIRE = {**HELD, "type": RowType.RETIRE, "evidence": "c" * 64, "cum": SUMS}
RESULT = {**ROUND, "type": RowType.ROUND_RESULT, "result": Result("1" * 64, "2" * 64, 4, 3)}
RELEASE = {**ROUND, "type": RowType.RELEASE, "release": Released("3" * 64, "4" * 64)}
PREPROC = {**COST, "type": RowType.PREPROC, "text": "a mean"}
ADJUST_UP = {**COST, "type": RowType.ADJUST_UP, "text": "a run that nobody had recorded"}
WITNESS = {"type": RowType.WITNESS, "witness": Witness("birch", 9, "5" * 64, "6" * 64)}
POLICY = {"type": RowType.POLICY_SET, "policy": policy_of(LIMITS, {})}
NOISE = Noise("discrete_gaussian", "81/4", 3, 1)


def row(state: LedgerState, **changes: Any) -> Row:
    """The next row of a chain, with the idempotency key that belongs to it."""
    members = {
        "v": 1,
        "seq": state.seq + 1,
        "prev": state.head,
        "ts": "2027-01-15T08:00:00.000+00:00",
        "ledger": "amber",
        "dataset": DATASET,
        "accountant": ACCOUNTANT,
        "actor": "operator",
        "key": public("amber"),
    }
    made = Row(**{**members, **changes})
    keyed = made.type in (RowType.RESERVE, RowType.COMMIT) and made.event is not None
    if keyed and "idempotency" not in changes:
        made = replace(made, idempotency=idempotency_of(made))
    return made


def add(state: LedgerState, **changes: Any) -> LedgerState:
    """The state after one more row."""
    return follow(state, canonical.encode(row(state, **changes)))


def after(*rows: dict[str, Any]) -> LedgerState:
    """The state after a chain of rows."""
    state = LedgerState()
    for changes in rows:
        state = add(state, **changes)
    return state
