"""A model that was released under version 0 of a roster, shown after the roster has changed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from participant.config import CoordinatorAddress, SiteConfig
from participant.joining.found import entry
from participant.opening import agree
from participant.wire.coordinator import SealedParts
from privacy.documents import Signed
from privacy.plan import Plan
from privacy.records import Release, SealedModel, release_of
from privacy.roster import Roster, SignedRoster
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made

NEWCOMER = "ember"
SUM, COHORT = "a" * 64, "c" * 64
VECTOR = np.sin(np.arange(float(made.DIMENSION)))
NOWHERE = CoordinatorAddress("127.0.0.1:1", Path("none"), Path("none"))


def model_digest() -> str:
    """The digest of the archived model."""
    return made.model_digest(made.SHAPES, VECTOR)


@cache
def later_roster(*removed: str, joins: tuple[str, ...] = (NEWCOMER,)) -> Roster:
    """Version 1: with newcomers that train, and without who was removed."""
    first = made.roster()
    stay = [member for member in first.members if member.participant not in removed]
    come = [entry(made.keys(name), name, f"{name} hospital", "", ("trainer",)) for name in joins]
    members = tuple(sorted([*stay, *come], key=lambda member: member.participant))
    return Roster(made.FEDERATION, 1, first.coordinator_key, members, first.digest())


def signed_roster(roster: Roster, names: Sequence[str]) -> SignedRoster:
    """A version with the signatures of some members."""
    body = made.encoded(roster)
    signatures = {name: sign(made.keys(name).signing, Purpose.ROSTER, body) for name in names}
    return SignedRoster(roster, signatures)


def config(folder: Path, name: str) -> SiteConfig:
    """The settings of a site that compared version 0 with the others."""
    return SiteConfig(made.FEDERATION, name, folder, NOWHERE, made.DATASET, made.policy())


class Shelf:
    """A coordinator that shows an archived model, and takes wraps of its key."""

    def __init__(self, newest: Roster, *signers: str, of: Plan | None = None) -> None:
        founders = (*made.TRAINERS, made.WATCH)
        admitting = [name for name in made.TRAINERS if name != "cedar"]
        first = signed_roster(made.roster(), founders)
        self.history = [first] if newest.version == 0 else [first, signed_roster(newest, admitting)]
        self.newest = newest
        self.of = of or made.plan()
        self.envelope, self.chunks = sealed(self.of, VECTOR)
        self.signed_envelope = made.signed_by(self.envelope, "amber")
        self.signers = signers or ("amber", "birch")
        self.wraps: list[Signed] = []
        self.read = 0

    @property
    def release_record(self) -> Release:
        """What openers have signed."""
        return release_of(self.envelope, COHORT, self.of.terms.model)

    async def roster(self, fingerprint: str | None = None) -> list[SignedRoster]:
        return self.history

    async def plan(self, number: int) -> tuple[bytes, bytes, bytes]:
        signature = made.plan_signature(self.of)
        return self.of.arithmetic.encode(), made.encoded(self.of.terms), signature

    async def release(self, number: int) -> Signed:
        return made.signed_by(self.release_record, *self.signers)

    @asynccontextmanager
    async def model(self, number: int, from_chunk: int = 0) -> AsyncIterator[SealedParts]:
        yield SealedParts(self.signed_envelope, tuple(self.wraps), self._chunks(from_chunk))

    async def _chunks(self, start: int) -> AsyncIterator[bytes]:
        for chunk in self.chunks[start:]:
            self.read += 1
            yield chunk

    async def put_wraps(self, wraps: Signed) -> None:
        self.wraps.append(wraps)


def sealed(of: Plan, vector: Any) -> tuple[SealedModel, tuple[bytes, ...]]:
    """A model that amber seals to the trainers of version 0, in three chunks."""
    digest, parts = made.model_digest(made.SHAPES, vector), np.array_split(vector, 3)
    envelope, chunks = agree.seal_model(
        of, made.roster(), SUM, "amber", digest, lambda: parts, made.os.urandom
    )
    return envelope, tuple(chunks)
