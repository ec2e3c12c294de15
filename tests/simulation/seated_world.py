"""A federation whose rounds are under `shares`, with seats that compute, forget and lie."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from coordinator import config
from coordinator.rounds.state import Phase, Round
from participant.opening.frozen import check_frozen_cohort
from participant.seat.judging import check_candidates
from privacy import canonical
from privacy.certificate import check_certificate
from privacy.documents import Signed
from privacy.errors import (
    NotYet,
    OpeningRefused,
    ProtocolError,
    RootMismatch,
    WrongContext,
)
from privacy.plan import SCORE_RELEASES, SHARES, Plan
from privacy.records import (
    Cohort,
    Entry,
    Refused,
    Score,
    Scores,
    SharedContribution,
    Verdict,
    digest_of,
)
from privacy.schemes.shares.layout import held_by
from privacy.schemes.shares.seat_sum import takes_payload
from privacy.signing import Purpose, sign
from tests import fakes
from tests.coordinator import seated_round
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.coordinator.seated_federation import canonical_replace
from tests.coordinator.seated_round import SEATS
from tests.fakes import Federation, signed_by, signing_key
from tests.simulation import operations as ops
from tests.simulation import shares
from tests.simulation.world import (
    CHUNKS,
    OLDER_LEDGER,
    ROLLED_BACK,
    WANTED,
    Member,
    Send,
    World,
    owned,
)

Words = tuple[tuple[bytes, ...], tuple[bytes, ...]]


@dataclass(frozen=True)
class Policy:
    """What members ask of a cohort beyond the plan."""

    smallest_cohort: int = 3


@dataclass
class SeatMember(Member):
    """A seat's process, and its disk: what it has signed of each round stands for ever."""

    started: int = 0
    verdicts: dict[int, Signed] = field(default_factory=dict)
    cohorts: dict[int, str] = field(default_factory=dict)
    statements: dict[int, tuple[Signed, Words]] = field(default_factory=dict)

    def certifies(self, number: int, cohort: str) -> None:
        """Record which cohort of a round the member stands for; there is one, ever."""
        if self.cohorts.setdefault(number, cohort) != cohort:
            raise OpeningRefused(f"round {number}: another cohort was certified before")


class SeatedWorld(World):
    """One federation under `shares` that is told what happens to it."""

    def __init__(self, kind: ops.Kind) -> None:
        super().__init__(kind)
        self.members = {name: SeatMember(name not in kind.late) for name in self.names()}

    def names(self) -> tuple[str, ...]:
        """Return everybody who acts, in order."""
        return (*super().names(), *SEATS)

    def seat(self, name: str) -> SeatMember:
        """Return a member as one that remembers what it has signed."""
        member = self.members[name]
        assert isinstance(member, SeatMember)
        return member

    def start_of(self, seat: str) -> str:
        """Return what a seat's process drew when it started."""
        return hashlib.sha256(f"{seat}/{self.seat(seat).started}".encode()).hexdigest()

    def plan(self, number: int) -> Plan:
        """Return a round's plan as it was given out."""
        return self.federation.service.archive.plan(number)

    def shape(self, number: int) -> shares.Shape:
        """Return the shape of a round's updates."""
        return shares.Shape.of(self.plan(number))

    def made_of(self, entries: tuple[Entry, ...]) -> tuple[tuple[str, int], ...]:
        """Return from what each contribution was made: its site's name and variant."""
        return tuple(self.oracle.made[each.contribution] for each in entries)

    def cohort(self, number: int) -> Cohort:
        """Return the cohort that the coordinator has frozen."""
        current = self.rounds[number]
        body = self.federation.service.archive.document("cohort", current.cohort).body
        return canonical.decode(body, Cohort)

    def is_there(self, who: str) -> bool:
        """Return whether a member reaches the coordinator now."""
        member = self.members[who]
        return member.joined and self.clock.at >= member.cut_off_until

    def _founded(self) -> Federation:
        settings = fakes.make_settings(wanted=WANTED, auditor=self.auditor)
        rounds = replace(settings.rounds, seats=SEATS)
        scheme = config.SchemeSettings(
            20,
            24,
            4,
            name=SHARES,
            leaves_per_chunk=1,
            bound_norms=self.kind.unchecked,
            unchecked=self.kind.unchecked,
            score_step_log2=seated_round.STEP_LOG2 if self.kind.unchecked else None,
        )
        bounded = seated_round.make_settings().privacy
        bounded = replace(bounded, releases=(*bounded.releases, *SCORE_RELEASES))
        settings = canonical_replace(
            settings,
            rounds=rounds,
            scheme=scheme,
            model=config.ModelSettings(seated_round.DIMENSION, "ab" * 32),
            privacy=bounded if self.kind.unchecked else settings.privacy,
        )
        return Federation(
            settings=settings,
            roster=owned(seated_round.make_roster(), self.kind),
            clock=self.clock,
            store=self.disk.guard(MemoryStore()),
            objects=self.disk.guard(MemoryObjects()),
        )

    def _due(self, current: Round) -> list[ops.Operation]:
        number, rules = current.number, current.rules
        if current.phase is Phase.JUDGING:
            return [ops.Judge(each, number) for each in sorted(current.waits_for())]
        if current.phase is Phase.CERTIFYING:
            return [ops.Certify(each, number) for each in (*SEATS, *rules.trainers)]
        if current.phase is Phase.SUMMING:
            return [ops.State(each, number) for each in sorted(current.waits_for())]
        if current.phase is Phase.DISPUTED:
            return [ops.Rule(rules.auditor, number)]
        if current.phase is Phase.DONE and current.is_scored():
            return [ops.Score(each, number) for each in SEATS]
        return super()._due(current)

    # -- what happens -------------------------------------------------------------------

    def _tick(self, operation: ops.Tick) -> None:
        for seat in SEATS:
            if self.is_there(seat):
                self.federation.service.starts.hear(seat, self.start_of(seat))
        super()._tick(operation)

    def _die(self, operation: ops.Die) -> None:
        super()._die(operation)
        self.seat(operation.who).started += 1

    # -- what members send --------------------------------------------------------------

    def _header(self, plan: Plan, operation: ops.Begin) -> tuple:
        who, variant = operation.who, operation.variant
        other = {"ledger": OLDER_LEDGER} if variant == ROLLED_BACK else {}
        header = replace(shares.header(plan, who, variant), **other)
        parts = shares.parts(plan, who, variant)
        name = digest_of(header)
        self.oracle.made[name] = (who, variant)
        self.oracle.seals[name] = dict(zip(SEATS, parts, strict=True))
        return signed_by(who, header), name, (), parts[::-1] if operation.swapped else parts

    def _payload(self, operation: ops.Put) -> bytes:
        shape = self.shape(operation.round)
        made = shares.update(shape, operation.round, operation.who, operation.variant)
        return made.payloads[operation.chunk]

    def _judge(self, operation: ops.Judge) -> Send:
        who, number = operation.who, operation.round
        signed = self.seat(who).verdicts.get(number) or self._verdict(operation)
        if not operation.refusing:
            signed = self.seat(who).verdicts.setdefault(number, signed)
        else:
            self.oracle.misjudged.add(number)
        return lambda: self.federation.service.seats.judging.put_verdict(who, signed)

    def _verdict(self, operation: ops.Judge) -> Signed:
        who, number = operation.who, operation.round
        signed, headers = self.federation.service.seats.judging.candidates(who, number)
        plan = self.plan(number)
        candidates = check_candidates(signed, headers, plan, self.federation.roster)
        refused = [each for each in map(self._refused(who, number), candidates.entries) if each]
        if operation.refusing and operation.refusing not in [each.participant for each in refused]:
            refused.append(Refused(operation.refusing, RootMismatch.code, "so it says"))
        return signed_by(
            who,
            Verdict(
                federation=candidates.federation,
                round=number,
                plan=candidates.plan,
                candidates=digest_of(candidates),
                seat=who,
                refused=tuple(sorted(refused, key=lambda each: each.participant)),
                unasked="a seat is away" if operation.unasked else "",
            ),
        )

    def _refused(self, seat: str, number: int) -> Callable[[Entry], Refused | None]:
        def look(entry: Entry) -> Refused | None:
            try:
                self._take(seat, number, entry)
            except ProtocolError as error:
                return Refused(entry.participant, error.code, str(error)[:300])
            return None

        return look

    def _take(self, seat: str, number: int, entry: Entry) -> None:
        """Hold one contribution, as a seat got it, against the roots that its site signed."""
        given = self.federation.service.seats.parts
        part = given.part(seat, number, entry.participant)
        place = SEATS.index(seat)  # nobody else was given anything
        header = canonical.decode(part.header.body, SharedContribution)
        if part.sealed != self.oracle.seals[digest_of(header)][seat]:
            raise WrongContext(f"{entry.participant}: sealed to another seat")
        for at in range(CHUNKS if takes_payload(place) else 0):
            given.chunk(seat, number, entry.participant, at)
        made = self.oracle.made[entry.contribution]
        found = shares.held_roots(self.shape(number), number, *made, place)
        if found != tuple(header.roots[at] for at in held_by(place)):
            raise RootMismatch(f"{entry.participant}: its parts are not those it signed")

    def _certify(self, operation: ops.Certify) -> Send:
        who, number = operation.who, operation.round
        cohort, signed = self._checked(who, number)
        member = self.seat(who)
        if who in SEATS and number not in member.cohorts:
            self._require_sat(who, number, cohort)
        member.certifies(number, digest_of(cohort))
        key = signing_key(fakes.SITES[0] if operation.forged else who)
        signature = sign(key, Purpose.CERTIFICATE, signed.body)
        name = digest_of(cohort)

        def send() -> None:
            certifying = self.federation.service.seats.certifying
            certifying.sign_cohort(who, number, name, signature)

        return send

    def _require_sat(self, seat: str, number: int, cohort: Cohort) -> None:
        starts = self.plan(number).questions().starts
        if starts[SEATS.index(seat)] != self.start_of(seat):
            raise OpeningRefused(f"round {number}: {seat} started after the round was planned")
        verdict = self.seat(seat).verdicts.get(number)
        if verdict is not None:
            said = canonical.decode(verdict.body, Verdict)
            refused = {each.participant for each in said.refused}
            if refused & {each.participant for each in cohort.entries}:
                raise WrongContext(f"round {number}: whom {seat} has refused is in the cohort")

    def _checked(self, who: str, number: int) -> tuple[Cohort, Signed]:
        signed, headers = self.federation.service.sums.cohort(who, number)
        plan, roster = self.plan(number), self.federation.roster
        cohort = check_frozen_cohort(plan, Policy(), roster, signed, headers, {})
        return cohort, signed

    def _state(self, operation: ops.State) -> Send:
        who, number = operation.who, operation.round
        kept = self.seat(who).statements.get(number)
        signed, words = kept if kept and not operation.lie else self._stated(operation)
        if not operation.lie:
            self.seat(who).statements.setdefault(number, (signed, words))
        else:
            self.oracle.lied.add((number, who))

        def send() -> None:
            sums = self.federation.service.seats.sums
            upload = sums.begin(who, signed)
            going = [(at, chunk) for at in range(2) for chunk in words[at]]
            for at, chunk in going[: operation.chunks]:
                sums.put_chunk(upload, at, chunk)
            if operation.chunks >= len(going):
                sums.finish(upload)

        return send

    def _stated(self, operation: ops.State) -> tuple[Signed, Words]:
        who, number = operation.who, operation.round
        seat = who if who in SEATS else SEATS[0]  # who has no seat says that it has this one
        cohort, certified = self._checked(who, number)
        plan, roster = self.plan(number), self.federation.roster
        check_certificate(certified, plan, roster)
        for entry in cohort.entries:
            self._take(who, number, entry)
        if not operation.lie:
            self.seat(who).certifies(number, digest_of(cohort))
        shape, place = self.shape(number), SEATS.index(seat)
        made = list(shares.totals(shape, number, self.made_of(cohort.entries), place))
        if operation.lie:
            component = held_by(place)[operation.component % 2]
            made[0] = shares.shifted(made[0], component, operation.lie)
        said, words = shares.statement(plan, cohort, roster, seat, made)
        return signed_by(who, said), words

    def _score(self, operation: ops.Score) -> Send:
        who, number = operation.who, operation.round
        cohort, plan = self.cohort(number), self.plan(number)
        each = tuple(
            Score(entry.participant, "1", str(operation.value)) for entry in cohort.entries
        )
        place = (cohort.federation, number, plan.digest(), digest_of(cohort))
        signed = signed_by(who, Scores(*place, seated_round.STEP_LOG2, each))
        return lambda: self.federation.service.seats.scores.put(who, signed)

    def _rule(self, operation: ops.Rule) -> Send:
        who, number = operation.who, operation.round
        named = (operation.says,) if operation.says else self._found(number)
        if operation.says:
            self.oracle.misjudged.add(number)
        return lambda: self.federation.service.seats.disputes.name_liar(who, number, named)

    def _found(self, number: int) -> tuple[str, ...]:
        """Return which of two seats stated another sum than that of what the sites signed."""
        current = self.federation.service.rounds.get(number)
        if current.disputed is None:
            raise NotYet(f"round {number}: there is no dispute")
        members = dict(self.made_of(self.cohort(number).entries))
        roots = shares.roots_of(self.shape(number), number, members)
        at = current.disputed.component
        stated = {each.seat: each.roots[at] for each in current.stated}
        return tuple(name for name in current.disputed.seats if stated[name] != roots[at])

    # -- who opens ----------------------------------------------------------------------

    def _fetch(self, operation: ops.Fetch | ops.Seal | ops.SignRelease) -> Send:
        who, number = operation.who, operation.round

        def send() -> None:
            self.open(who, number)
            self.members[who].opened.add(number)

        return send

    def open(self, who: str, number: int) -> list:
        """Open a round's sum as one of its openers: from what seats state, and nothing else.

        Raises:
            ProtocolError: seats state different sums, or the cohort is not certified.
        """
        service, current = self.federation.service, self.rounds[number]
        service.sums.manifest(who, number)
        cohort, certified = self._checked(who, number)
        check_certificate(certified, self.plan(number), self.federation.roster)
        service.seats.sealed.statements(who, number)
        seats = [each.seat for each in current.stated if each.seat not in current.liars]
        words = service.seats.sealed.words
        opened = []
        for chunk in range(CHUNKS):
            given = [
                (words(who, number, seat, 0, chunk), words(who, number, seat, 1, chunk))
                for seat in seats
            ]
            opened.append(shares.opened(self.shape(number), chunk, given, len(cohort.entries)))
        return opened

    def _second(self, who: str, current: Round) -> ops.Act:
        number = current.number
        if who in SEATS and current.phase is Phase.JUDGING:
            return ops.Judge(who, number, refusing=fakes.SITES[-1])
        if who in SEATS and current.phase in (Phase.SUMMING, Phase.DISPUTED):
            return ops.State(who, number, lie=3)
        return super()._second(who, current)

    _events: Mapping[type, Callable] = {
        **World._events,
        ops.Tick: _tick,
        ops.Die: _die,
    }
    _acts: Mapping[type, Callable] = {
        **World._acts,
        ops.Judge: _judge,
        ops.Certify: _certify,
        ops.State: _state,
        ops.Score: _score,
        ops.Rule: _rule,
    }


def world_of(kind: ops.Kind) -> World:
    """Return a new federation of a kind."""
    return SeatedWorld(kind) if kind.scheme == "shares" else World(kind)
