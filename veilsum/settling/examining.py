"""Compare a programme on its chain with what a process's settings say of it."""

from pathlib import Path

import msgspec

from coordinator import config as coordinators
from coordinator.config import Settings
from coordinator.settling.shape import shape_of
from participant.settling.programme import Programme, Terms
from privacy.configuration import NOTHING, Over

from .place import Place


class Examined(msgspec.Struct, frozen=True):
    """A programme's terms, and what of it is not as it must be.

    Attributes:
        arithmetic: SHA-256 of the arithmetic part of the plans that it pays for, hexadecimal.
        judges: whose verdicts slash; `judges_quorum` make one.
        wrong: a sentence for each fault; none if all is right.
    """

    programme: str
    coordinator: str
    token: str
    end: int
    window_seconds: int
    response_seconds: int
    bond: str
    bonded: str
    demand_bond: str
    funded: str
    arithmetic: str
    leaves_per_chunk: int
    last_chunk_leaves: int
    judges: tuple[str, ...]
    judges_quorum: int
    wrong: tuple[str, ...]


def examine(programme: Programme, config: Path, place: Place, over: Over = NOTHING) -> Examined:
    """Return what a programme is, held against a file of settings.

    Raises:
        WrongContext: there is no such programme.
        ChainUnavailable: the endpoint does not answer.
        ConfigError, InsecureKeyFile: the file, or its key, cannot be read.
    """
    terms, state = programme.terms(), programme.state()
    bonded = programme.stake_of(terms.coordinator).bonded
    wrong = _of_chain(programme, terms, bonded)
    if config.stem == "coordinator":
        settings = coordinators.read(config, over)
        wrong += _of_coordinator(terms, state.funded, settings, place.address())
    judges, quorum = programme.judges()
    return Examined(
        programme=programme.word.hex(),
        coordinator=terms.coordinator,
        token=terms.token,
        end=terms.end,
        window_seconds=terms.window,
        response_seconds=terms.response,
        bond=str(terms.bond),
        bonded=str(bonded),
        demand_bond=str(terms.demand_bond),
        funded=str(state.funded),
        arithmetic=terms.arithmetic.hex(),
        leaves_per_chunk=terms.leaves_per_chunk,
        last_chunk_leaves=terms.last_chunk_leaves,
        judges=judges,
        judges_quorum=quorum,
        wrong=tuple(wrong),
    )


def _of_chain(programme: Programme, terms: Terms, bonded: int) -> list[str]:
    wrong, state = [], programme.state()
    if state.void_from is not None:
        wrong.append(f"it is halted: round {state.void_from} was proved wrong")
    elif programme.time() >= terms.end:
        wrong.append("it has ended: no round is committed any more")
    elif bonded < terms.bond:
        wrong.append(f"the coordinator has {bonded} bonded, and needs {terms.bond} to commit")
    return wrong


def _of_coordinator(
    terms: Terms, funded: int, settings: Settings, address: str | None
) -> list[str]:
    wrong, shape = [], shape_of(settings)
    if address is None or address.lower() != terms.coordinator:
        wrong.append(f"it takes commits from {terms.coordinator}, and the key is {address}")
    if shape.arithmetic != terms.arithmetic:
        wrong.append(
            f"it pays for plans of arithmetic {terms.arithmetic.hex()[:16]}…, and scheme and "
            f"model in the settings make {shape.arithmetic.hex()[:16]}…"
        )
    leaves = (shape.leaves_per_chunk, shape.last_chunk_leaves)
    if leaves != (terms.leaves_per_chunk, terms.last_chunk_leaves):
        wrong.append(f"chunks of contributions have {leaves} leaves, and others in its terms")
    assert settings.settlement is not None  # or there was no place
    if funded < int(settings.settlement.escrow):
        wrong.append(
            f"settlement.escrow is {settings.settlement.escrow}, and {funded} are funded: later "
            "rounds cannot be committed"
        )
    return wrong
