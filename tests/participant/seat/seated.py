"""A federation with three seats, a round of it made by its sites, and a coordinator in memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from participant.config import CoordinatorAddress
from participant.joining.found import entry
from participant.seat.config import AggregatorConfig, AggregatorPolicy
from participant.seat.memory import SeatMemory
from participant.seat.norms import Norms
from participant.seat.sitting import Seat, Sitting
from participant.sending.sign import shared_contribution
from participant.view import RoundView, View
from participant.wire.letters import Letter
from participant.wire.seat_calls import Part
from participant.wire.whole import Whole
from privacy import canonical
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.certificate import is_complete
from privacy.documents import Signed
from privacy.errors import NotYet, PeerUnreachable
from privacy.failpoints import Failpoints
from privacy.identifiers import sha256_hex
from privacy.merkle import tree_root
from privacy.plan import SHARES, Plan, SharesTerms
from privacy.records import (
    SEATS,
    Candidates,
    Cohort,
    Entry,
    Piece,
    Scores,
    SealedParts,
    SharedContribution,
    Verdict,
    digest_of,
)
from privacy.roster import Roster, SignedRoster
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import VALUE_WORDS, SharesParameters
from privacy.schemes.shares.payload import payload_root
from privacy.schemes.shares.sharing import SharesProtector, UpdateSecrets, seal_for_seats
from privacy.signing import Purpose, public_bytes, sign
from tests.participant import signed_round as made
from tests.participant.roster_versions import versions

SITES = made.TRAINERS
NAMES = ("east", "north", "south")
STARTS = ("ea" * 32, "aa" * 32, "50" * 32)
"""What each seat drew when the process started that the plan is for."""

DIMENSION = 5 * VALUE_WORDS + 100
PARAMETERS = SharesParameters(value_bits=16, cohort_max=4, values_per_word=1, leaves_per_chunk=2)
CHUNKS = 3


@cache
def roster() -> Roster:
    """Four trainers, an auditor, and three seats, each of an organisation of its own."""
    members = [*made.roster().members]
    members += [entry(made.keys(n), n, f"{n} office", "", ("aggregator",)) for n in NAMES]
    ordered = tuple(sorted(members, key=lambda each: each.participant))
    return Roster(made.FEDERATION, 0, public_bytes(made.COORDINATOR_KEY), ordered)


def history(of: Roster | None = None) -> list[SignedRoster]:
    """The roster, founded."""
    of = of or roster()
    body = canonical.encode(of)
    names = [member.participant for member in of.members]
    return [SignedRoster(of, {n: sign(made.keys(n).signing, Purpose.ROSTER, body) for n in names})]


def plan(dimension: int = DIMENSION, **changes: Any) -> Plan:
    """A plan under `shares`."""
    number = changes.get("round", 1)
    scheme = changes.pop("scheme", SharesTerms(1, PARAMETERS.leaves_per_chunk, 4, STARTS))
    privacy = made.PRIVACY
    asked = (*privacy.releases, *scheme.releases())
    base = made.plan(round=number).terms
    terms = msgspec.structs.replace(
        base,
        roster=roster().digest(),
        key_record=None,
        scheme=scheme,
        seats=NAMES,
        clip="1",
        privacy=msgspec.structs.replace(privacy, releases=asked),
    )
    per_chunk = PARAMETERS.geometry(dimension).values_per_chunk
    ranges = (ModulusRange(0, PARAMETERS.geometry(dimension).chunks, 0, 1 << 64),)
    arithmetic = Arithmetic(SHARES, dimension, per_chunk, 11, 16, ranges)
    return Plan(arithmetic, msgspec.structs.replace(terms, **changes))


def update(name: str, dimension: int = DIMENSION) -> Any:
    """One site's grid integers."""
    return (np.arange(dimension) % 97 - 48 + SITES.index(name)).astype(np.int64)


@dataclass(frozen=True)
class Contributed:
    """A contribution as the coordinator stores it."""

    header: Signed
    seals: tuple[bytes, bytes, bytes]
    chunks: tuple[bytes, ...]

    @property
    def entry(self) -> Entry:
        """What candidates say of it."""
        header = canonical.decode(self.header.body, SharedContribution)
        roots = tuple(piece.root for piece in header.pieces)
        return Entry(header.participant, digest_of(header), roots)

    def with_header(self, **changes: Any) -> "Contributed":
        """The same with other fields in its header, signed by whoever it names."""
        header = canonical.decode(self.header.body, SharedContribution)
        changed = msgspec.structs.replace(header, **changes)
        signed = made.signed_by(changed, changed.participant)
        return Contributed(signed, self.seals, self.chunks)

    def with_seals(self, *seals: bytes) -> "Contributed":
        """The same, where the site has sealed these."""
        first, second, third = (
            SealedParts(name, sha256_hex(seal)) for name, seal in zip(NAMES, seals, strict=True)
        )
        changed = self.with_header(seals=(first, second, third))
        return Contributed(changed.header, (seals[0], seals[1], seals[2]), self.chunks)


def contributed(of: Plan, name: str, secrets: UpdateSecrets | None = None) -> Contributed:
    """One site's contribution, shared and sealed as its site would."""
    secrets = secrets or UpdateSecrets.generate(os.urandom)
    dimension = of.arithmetic.dimension
    context = UpdateContext(made.FEDERATION, of.terms.round, name)
    protector = SharesProtector(of.shares(), dimension, context, secrets)
    values, geometry = update(name, dimension), of.geometry()
    chunks = [protector.share(at, values[geometry.span(at)]) for at in range(geometry.chunks)]
    payloads = tuple(chunk.payload for chunk in chunks)
    first, second, third = (tree_root([c.roots[k] for c in chunks]).hex() for k in range(3))
    leaves = [payload_root(at, payload) for at, payload in enumerate(payloads)]
    length = sum(map(len, payloads))
    piece = Piece(SEATS, SHARES, tree_root(leaves).hex(), len(payloads), length)
    seals = seals_of(of, name, secrets)
    ledger = made.ledger_of(name, of.terms.round)
    header = shared_contribution(of, name, piece, (first, second, third), seals, ledger)
    return Contributed(made.signed_by(header, name), seals, payloads)


def seals_of(of: Plan, name: str, secrets: UpdateSecrets) -> tuple[bytes, bytes, bytes]:
    """What a site seals to the three seats."""
    context = UpdateContext(made.FEDERATION, of.terms.round, name)
    values = update(name, of.arithmetic.dimension)
    third = secrets.declare(context, int(values @ values))
    publics = [made.keys(seat).sealing_public for seat in NAMES]
    first, second, last = seal_for_seats(secrets, context, publics, third)
    return first, second, last


@dataclass
class Desk:
    """A coordinator in memory: what it stores of one round, and what seats have handed in."""

    plan: Plan
    parts: dict[str, Contributed]
    verdicts: dict[str, Signed] = field(default_factory=dict)
    certificate: dict[str, bytes] = field(default_factory=dict)
    sums: dict[str, tuple[Signed, list[tuple[int, bytes]]]] = field(default_factory=dict)
    scored: dict[str, Signed] = field(default_factory=dict)
    names: tuple[str, ...] | None = None
    left_out: frozenset[str] = frozenset()
    streams: list[tuple[str, str, int]] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)

    @property
    def opened(self) -> set[str]:
        """Seats that have asked for every part."""
        asked = {(seat, participant) for seat, participant, _ in self.streams}
        return {n for n in NAMES if all((n, each) in asked for each in self.parts)}

    @classmethod
    def of(cls, plan_: Plan | None = None, **instead: Contributed) -> "Desk":
        """A round to which all sites have contributed, some something else."""
        plan_ = plan_ or plan()
        return cls(plan_, {name: instead.get(name) or contributed(plan_, name) for name in SITES})

    def entries(self, names: Sequence[str]) -> tuple[Entry, ...]:
        return tuple(self.parts[name].entry for name in names)

    def candidate_record(self) -> Candidates:
        terms, names = self.plan.terms, sorted(self.parts)
        return Candidates(terms.federation, terms.round, self.plan.digest(), self.entries(names))

    def refused(self) -> set[str]:
        found = [canonical.decode(each.body, Verdict) for each in self.verdicts.values()]
        return {each.participant for verdict in found for each in verdict.refused}

    def cohort_record(self) -> Cohort:
        terms = self.plan.terms
        names = self.names or tuple(sorted(set(self.parts) - self.refused()))
        return Cohort(terms.federation, terms.round, self.plan.digest(), self.entries(names))

    def certify(self, *names: str) -> None:
        """Let members sign the cohort."""
        body = canonical.encode(self.cohort_record())
        for name in names:
            self.certificate[name] = sign(made.keys(name).signing, Purpose.CERTIFICATE, body)

    # -- as any member calls it ------------------------------------------------------

    async def plan_parts(self, number: int) -> tuple[bytes, bytes, bytes]:
        if number != self.plan.terms.round:
            raise NotYet(f"round {number} has no plan")
        arithmetic = self.plan.arithmetic.encode()
        return arithmetic, canonical.encode(self.plan.terms), made.plan_signature(self.plan)

    async def cohort(self, number: int) -> tuple[Signed, list[Signed]]:
        signed = made.by_coordinator(self.cohort_record())
        names = [each.participant for each in self.cohort_record().entries]
        signatures = {**signed.signatures, **self.certificate}
        return Signed(signed.body, signatures), [self.parts[name].header for name in names]


@dataclass
class Line:
    """One seat's calls to a desk; `plan` and the like are as `Coordinator` has them."""

    desk: Desk
    me: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.desk, name)

    async def plan(self, number: int) -> tuple[bytes, bytes, bytes]:
        return await self.desk.plan_parts(number)

    @asynccontextmanager
    async def part(self, number: int, participant: str, from_chunk: int = 0) -> AsyncIterator[Part]:
        stored = self.desk.parts[participant]
        self.desk.streams.append((self.me, participant, from_chunk))
        place = NAMES.index(self.me)
        yield Part(stored.header, stored.seals[place], self._chunks(stored, place, from_chunk))

    async def _chunks(
        self, stored: Contributed, place: int, from_chunk: int
    ) -> AsyncIterator[bytes]:
        breaks = self.desk.breaks.pop(0) if self.desk.breaks else None
        for at, chunk in enumerate(stored.chunks[from_chunk:] if place else ()):
            if at == breaks:
                raise PeerUnreachable("the stream broke")
            yield chunk

    async def candidates(self, number: int) -> tuple[Signed, list[Signed]]:
        record = self.desk.candidate_record()
        headers = [self.desk.parts[each.participant].header for each in record.entries]
        return made.by_coordinator(record), headers

    async def put_verdict(self, verdict: Signed) -> None:
        assert self.desk.verdicts.setdefault(self.me, verdict) == verdict

    async def sign_cohort(self, number: int, cohort: str, signature: bytes) -> None:
        assert cohort == digest_of(self.desk.cohort_record())
        self.desk.certificate[self.me] = signature

    async def put_sum(self, statement: Signed, sums: Whole[tuple[int, bytes]]) -> None:
        kept: list[tuple[int, bytes]] = []
        cut = self.desk.cut.pop(0) if self.desk.cut else None
        for at, chunk in enumerate(sums.chunks(0)):
            if at == cut:
                raise PeerUnreachable("the upload broke")
            kept.append(chunk)
        self.desk.sums[self.me] = (statement, kept)

    async def put_scores(self, scores: Signed) -> None:
        self.desk.scored[self.me] = scores


class NoQuestions:
    """Other seats that say what a test tells them to."""

    def __init__(
        self,
        over: Sequence[str] = (),
        error: Exception | None = None,
        unheld: Sequence[str] = (),
    ) -> None:
        self.over, self.error, self.unheld = over, error, unheld
        self.checked: list[bool] = []
        self.asked: list[tuple[str, Any]] = []

    async def bounded(self, candidates: str, held: Any) -> Norms:
        self.asked.append((candidates, held))
        if self.error is not None:
            raise self.error
        asked = [name for name in held.participants if name not in self.unheld]
        return Norms(tuple(asked), tuple(self.over))

    async def scores(self, cohort: str, held: Any, *, checked: bool) -> Scores:
        self.checked.append(checked)
        self.asked.append((cohort, held))
        terms = held.plan.terms
        step = held.plan.questions().score_step_log2
        return Scores(terms.federation, terms.round, held.plan.digest(), cohort, step, (), "none")

    async def knocked(self, plan: Plan, stage: str, context: str) -> str:
        self.asked.append((stage, context))
        return await asyncio.Event().wait() or ""

    async def say_alive(self, plan: Plan) -> None:
        await asyncio.Event().wait()


def config(folder: Path, name: str, **policy: Any) -> AggregatorConfig:
    """A seat's settings, whose coordinator is nowhere."""
    nowhere = CoordinatorAddress("127.0.0.1:1", Path("none"), Path("none"))
    accepted = {"roster": roster().digest(), "schemes": (SHARES,), "smallest_cohort": 3}
    return AggregatorConfig(
        made.FEDERATION, name, folder / name, nowhere, AggregatorPolicy(**(accepted | policy))
    )


class Killed(BaseException):
    """The process is gone."""


def killed_at(name: str, count: int = 1) -> Failpoints:
    """Failpoints of a process that dies at one of them."""

    def kill(where: str) -> None:
        raise Killed(where)

    return Failpoints({(name, count): kill})


def seat(
    folder: Path,
    desk: Desk,
    name: str = "north",
    failpoints: Failpoints | None = None,
    questions: Any = None,
    floor: int = 0,
    start: str | None = None,
    **policy: Any,
) -> Seat:
    """A seat as it is when its process has just started.

    Args:
        start: what it drew; None for what the plan names, so that it is older than the plan.
    """
    settings = config(folder, name, **policy)
    line: Any = Line(desk, name)

    def floor_of(seats: tuple[str, ...]) -> "asyncio.Future[int]":
        known: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        known.set_result(floor)
        return known

    mailbox: Any = None
    return Seat(
        settings,
        made.keys(name),
        os.urandom,
        failpoints or Failpoints(),
        line,
        line,
        versions(roster()),
        SeatMemory(settings.state),
        mailbox,
        questions or NoQuestions(),
        floor_of,
        STARTS[NAMES.index(name)] if start is None else start,
    )


async def sitting(of: Seat, number: int = 1) -> Sitting:
    """The round, as a seat sits in it."""
    return await of.sit(number)


def verdict_of(desk: Desk, name: str) -> Verdict:
    """What a seat has said of the candidates."""
    return canonical.decode(desk.verdicts[name].body, Verdict)


def refused_by(desk: Desk) -> dict[str, list[tuple[str, str]]]:
    """Whom each seat refuses, and with which code."""
    return {
        name: [(each.participant, each.code) for each in verdict_of(desk, name).refused]
        for name in desk.verdicts
    }


class Letterbox:
    """Letters between members of one process."""

    def __init__(self, me: str, boxes: dict[str, list[Letter]]) -> None:
        self.me, self._boxes = me, boxes

    async def post(self, recipient: str, topic: str, body: bytes) -> None:
        box = self._boxes.setdefault(recipient, [])
        box.append(Letter(len(box) + 1, self.me, topic, body))

    async def collect(self, after: int, wait_seconds: float) -> tuple[int, list[Letter]]:
        await asyncio.sleep(0.01)
        return 1, self._boxes.get(self.me, [])[after:]


@dataclass
class Shown(Line):
    """A line to a coordinator that goes through a round as its seats move it on."""

    watched: list[tuple[int, ...]] = field(default_factory=list)

    async def roster(self, fingerprint: str | None = None) -> list[SignedRoster]:
        return history()

    async def watch(
        self, seen: int, working_on: Sequence[int], wait_seconds: float, start: str = ""
    ) -> View:
        await asyncio.sleep(0.005)
        self.watched.append(tuple(working_on))
        phase = phase_of(self.desk)
        if phase == "over":
            return View(2, (), finished=True)
        return View(1, (round_view(self.desk, phase),))


def phase_of(desk: Desk) -> str:
    """How far the seats have brought a round."""
    if len(desk.opened) < len(NAMES):
        return "open"
    if len(desk.verdicts) < len(NAMES):
        return "judging"
    if not is_complete(desk.certificate, NAMES, SITES):
        return "certifying"
    if len(desk.sums) < len(NAMES):
        return "summing"
    asked = desk.plan.questions().score_step_log2 is not None
    return "opening" if asked and len(desk.scored) < len(NAMES) else "over"


def round_view(desk: Desk, phase: str) -> RoundView:
    """What members see of a round."""
    later = phase not in ("open", "judging")
    return RoundView(
        desk.plan.terms.round,
        phase,
        "",
        (),
        "",
        (),
        tuple(desk.parts),
        "",
        (),
        seats=NAMES,
        candidates="" if phase == "open" else digest_of(desk.candidate_record()),
        judged=tuple(desk.verdicts),
        cohort=digest_of(desk.cohort_record()) if later else "",
        certified=tuple(desk.certificate),
        summed=tuple(desk.sums),
    )
