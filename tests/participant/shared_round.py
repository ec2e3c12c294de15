"""A round under `shares`, made as its members would make it: sites, three seats, openers."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
import numpy as np
import pytest

from participant.joining.found import entry
from participant.opening.sealed_words import key_context, words_context
from participant.sending.outbox import Outbox
from participant.sending.share import seal_parts, share, update_context
from participant.sending.sign import shared_contribution
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.documents import Signed
from privacy.errors import NotYet, PeerUnreachable
from privacy.merkle import tree_root
from privacy.plan import SHARES, Plan, SharesTerms, Terms
from privacy.records import (
    Cohort,
    Entry,
    SealedWords,
    SeatSum,
    SharedContribution,
    Sum,
    Wrap,
    digest_of,
)
from privacy.roster import Roster
from privacy.schemes.shares.layout import SharesParameters, block_root, held_by
from privacy.schemes.shares.opening import sum_length, sum_root
from privacy.schemes.shares.seat_sum import HeldShares, SeatCombiner, takes_payload
from privacy.schemes.shares.seat_total import SeatTotal
from privacy.schemes.shares.sharing import UpdateSecrets, open_as_seat
from privacy.sealing import ciphertext_digest, seal, seal_stream
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made

SEATS = ("elm", "fern", "gorse")
STARTS = ("e1" * 32, "fe" * 32, "60" * 32)
"""What each seat drew when its process started."""
TRAINERS, OPENERS = made.TRAINERS, made.OPENERS
PARAMETERS = SharesParameters(24, 4, leaves_per_chunk=2)
PER_CHUNK = PARAMETERS.geometry(1).values_per_chunk
CHUNKS = -(-made.DIMENSION // PER_CHUNK)
ARITHMETIC = Arithmetic(
    SHARES, made.DIMENSION, PER_CHUNK, 18, 24, (ModulusRange(0, CHUNKS, 0, 1 << 64),)
)

Lie = Callable[[int, SeatTotal], SeatTotal]
"""What a seat says of one chunk in the place of the truth: its index, and what it added."""


@cache
def roster() -> Roster:
    """The trainers and the auditor of `signed_round`, and three seats."""
    seats = [entry(made.keys(name), name, f"{name} clinic", "", ("aggregator",)) for name in SEATS]
    members = sorted((*made.roster().members, *seats), key=lambda each: each.participant)
    return msgspec.structs.replace(made.roster(), members=tuple(members))


def roster_with(name: str, **changes: Any) -> Roster:
    """The same members, one of them changed."""
    members = tuple(
        msgspec.structs.replace(each, **changes) if each.participant == name else each
        for each in roster().members
    )
    return msgspec.structs.replace(roster(), members=members)


def policy(**changes: Any) -> Any:
    """A policy that accepts `plan()`."""
    accepting = {"roster": roster().digest(), "schemes": (SHARES,), "without_auditor": False}
    return made.policy(**(accepting | changes))


def terms(**changes: Any) -> Terms:
    """The terms of round 1."""
    changed = {
        "roster": roster().digest(),
        "key_record": None,
        "seats": SEATS,
        "scheme": SharesTerms(1, PARAMETERS.leaves_per_chunk, PARAMETERS.cohort_max, STARTS),
    }
    return msgspec.structs.replace(made.plan().terms, **(changed | changes))


def plan(**changes: Any) -> Plan:
    """A plan of round 1, with no questions to seats."""
    return Plan(ARITHMETIC, terms(**changes))


def scored_plan() -> Plan:
    """A plan that bounds norms and asks for scores."""
    scheme = msgspec.structs.replace(terms().scheme, norm_bound=1 << 24, score_step_log2=4)
    releases = ("participation", "norm-bound", "squared-norm", "alignment")
    return plan(scheme=scheme, privacy=msgspec.structs.replace(made.PRIVACY, releases=releases))


@dataclass(frozen=True)
class Sent:
    """What one site has in its outbox, and what it drew for it."""

    secrets: UpdateSecrets
    header: SharedContribution
    seals: tuple[bytes, ...]
    payloads: tuple[bytes, ...]


def sent(of: Plan, name: str, values: Any = None) -> Sent:
    """One site's update in its outbox, by the product's own way."""
    outbox = Outbox(Path(mkdtemp()), of.terms.round)
    secrets = UpdateSecrets.generate(os.urandom)
    update = made.update(name) if values is None else values
    shared = share(of, name, secrets, update, outbox.start())
    seals = seal_parts(of, roster(), name, secrets, shared.declared_third)
    ledger = made.ledger_of(name, of.terms.round)
    header = shared_contribution(of, name, shared.piece, shared.roots, seals, ledger)
    outbox.finish(made.signed_by(header, name), seals)
    payloads = tuple(payload for _, payload in outbox.chunks(0, shared.piece.chunks))
    kept = outbox.seals(len(seals))
    outbox.erase()
    return Sent(secrets, header, kept, payloads)


def held(of: Plan, seat: int, name: str, each: Sent) -> HeldShares:
    """One update as a seat has it, from what the site has sealed to the seat."""
    context, pair = update_context(of, name), made.keys(of.terms.seats[seat]).sealing
    opened = open_as_seat(pair, context, seat, each.seals[seat])
    return HeldShares(of.shares(), of.arithmetic.dimension, context, opened)


@dataclass(frozen=True)
class Stated:
    """What one seat states: its signed statement, and what it sealed of each component."""

    statement: SeatSum
    sealed: tuple[tuple[bytes, ...], tuple[bytes, ...]]

    def signed(self) -> Signed:
        return made.signed_by(self.statement, self.statement.seat)


def totals(of: Plan, seat: int, updates: dict[str, Sent]) -> list[SeatTotal]:
    """What a seat adds, chunk by chunk."""
    found = []
    for chunk in range(of.arithmetic.chunks):
        addition = SeatCombiner(of.shares(), of.arithmetic.dimension, seat).begin(chunk)
        for name, each in updates.items():
            payload = each.payloads[chunk] if takes_payload(seat) else None
            addition.add(held(of, seat, name, each), payload)
        found.append(addition.total())
    return found


def state(of: Plan, cohort: str, seat: int, added: Sequence[SeatTotal]) -> Stated:
    """Seal and state what a seat says that it has added."""
    name, key = of.terms.seats[seat], os.urandom(32)
    sealed, sums = [], []
    for component in held_by(seat):
        plain = [total.only(component).encode() for total in added]
        stream = tuple(seal_stream(key, words_context(of, cohort, name, component), plain))
        root = tree_root([total.root_of(component) for total in added]).hex()
        length = sum(map(len, stream))
        sums.append(SealedWords(component, root, ciphertext_digest(stream), length))
        sealed.append(stream)
    wraps = tuple(
        Wrap(
            each.participant,
            seal(each.sealing_key, key_context(of, cohort, name, each.participant), key),
        )
        for each in roster().trainers()
    )
    statement = SeatSum(
        made.FEDERATION,
        of.terms.round,
        of.digest(),
        cohort,
        name,
        roster().digest(),
        of.arithmetic.chunks,
        (sums[0], sums[1]),
        wraps,
    )
    return Stated(statement, (sealed[0], sealed[1]))


def sum_of(of: Plan, cohort: Cohort, stated: Sequence[Stated]) -> Sum:
    """The manifest that statements give, the first word on each component counting."""
    roots: dict[int, bytes] = {}
    for each in stated:
        for words in each.statement.sums:
            roots.setdefault(words.component, bytes.fromhex(words.root))
    return Sum(
        made.FEDERATION,
        of.terms.round,
        of.digest(),
        digest_of(cohort),
        len(cohort.entries),
        sum_root([roots[at] for at in range(3)]).hex(),
        of.arithmetic.chunks,
        sum_length(of.shares(), of.arithmetic.dimension),
    )


def cohort_of(of: Plan, headers: Sequence[SharedContribution]) -> Cohort:
    """The cohort of these contributions."""
    entries = tuple(
        Entry(each.participant, digest_of(each), (each.pieces[0].root,)) for each in headers
    )
    return Cohort(made.FEDERATION, of.terms.round, of.digest(), entries)


def certified(cohort: Cohort, *signers: str) -> Signed:
    """A cohort under the coordinator's signature, and for a certificate under those of others."""
    signed = made.by_coordinator(cohort)
    certificate = {
        name: sign(made.keys(name).signing, Purpose.CERTIFICATE, signed.body) for name in signers
    }
    return Signed(signed.body, {**signed.signatures, **certificate})


class Round:
    """A round whose seats have stated their sums, with everything that was signed on the way."""

    def __init__(
        self,
        of: Plan | None = None,
        names: Sequence[str] = TRAINERS,
        seats: Sequence[int] = (0, 1, 2),
        lies: dict[int, Lie] | None = None,
    ) -> None:
        self.plan = of or plan()
        self.updates = {name: _sent_once(self.plan, name) for name in names}
        headers = [each.header for each in self.updates.values()]
        self.headers = [made.signed_by(each, each.participant) for each in headers]
        self.cohort = cohort_of(self.plan, headers)
        cohort, honest = digest_of(self.cohort), []
        self.stated = []
        for seat in range(3):
            added = totals(self.plan, seat, self.updates)
            honest.append(state(self.plan, cohort, seat, added))
            lie = (lies or {}).get(seat)
            if lie is not None:
                added = [lie(chunk, total) for chunk, total in enumerate(added)]
            if seat in seats:
                self.stated.append(state(self.plan, cohort, seat, added) if lie else honest[-1])
        self.sum = sum_of(self.plan, self.cohort, honest)

    def total(self) -> Any:
        """The sum of the updates, as integers."""
        return np.sum([made.update(name) for name in self.updates], axis=0)


@cache
def _sent_once(of: Plan, name: str) -> Sent:
    return sent(of, name)


def flipped(component: int, chunk: int = 0) -> Lie:
    """A seat that changes one bit of one component, and states the root that fits the lie."""

    def lie(index: int, total: SeatTotal) -> SeatTotal:
        if index != chunk or component not in total.blocks:
            return total
        block = total.blocks[component].copy()
        block[0, 5] ^= np.uint64(1)
        roots = list(total.roots)
        roots[held_by(total.seat).index(component)] = block_root(index, block)
        blocks = {**total.blocks, component: block}
        return SeatTotal(total.seat, index, (roots[0], roots[1]), blocks)

    return lie


@dataclass
class Seats:
    """What a coordinator answers about seats: as `SeatCalls`, from what is shown."""

    rounds: dict[int, Round] = field(default_factory=dict)
    signed: list[tuple[int, str, bytes]] = field(default_factory=list)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    cut_after: int | None = None

    async def sums(self, number: int) -> list[Signed]:
        return [each.signed() for each in self._round(number).stated]

    @asynccontextmanager
    async def words(
        self, number: int, seat: str, position: int, from_chunk: int = 0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append((seat, position, from_chunk))
        (of,) = (each for each in self._round(number).stated if each.statement.seat == seat)
        yield self._stream(of.sealed[position][from_chunk:])

    async def _stream(self, chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
        for at, chunk in enumerate(chunks):
            if at == self.cut_after:
                raise PeerUnreachable("cut")
            yield chunk

    async def sign_cohort(self, number: int, cohort: str, signature: bytes) -> None:
        self.signed.append((number, cohort, signature))

    def _round(self, number: int) -> Round:
        if number not in self.rounds:
            raise NotYet(f"there is none of round {number}")
        return self.rounds[number]


@contextmanager
def answering(seats: Seats) -> Iterator[None]:
    """While it lasts, whoever calls a coordinator about seats gets these answers."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("opener", "certify"):
            patch.setattr(f"participant.opening.{module}.SeatCalls", lambda _: seats)
        yield


def shown_by(coordinator: Any, of: Round, *signers: str) -> None:
    """Let a scripted coordinator show a round up to its manifest, certified by `signers`."""
    number = of.plan.terms.round
    coordinator.plans[number] = of.plan
    coordinator.cohorts[number] = certified(of.cohort, *(signers or SEATS)), of.headers
    coordinator.sums[number] = made.by_coordinator(of.sum), ()
