"""A whole coordinator under `shares` in memory, with sites and seats that do as told."""

import hashlib
from dataclasses import dataclass, field

from coordinator import config
from privacy import canonical
from privacy.documents import Signed
from privacy.identifiers import sha256_hex
from privacy.mechanism import events_of
from privacy.merkle import tree_root
from privacy.plan import SHARES, Plan
from privacy.records import (
    SEATS as FOR_SEATS,
)
from privacy.records import (
    Candidates,
    Piece,
    Refused,
    SealedParts,
    SealedWords,
    SeatSum,
    SharedContribution,
    Verdict,
    Wrap,
)
from privacy.roster import Roster
from privacy.schemes.keystream import SECRET_BYTES
from privacy.schemes.shares.layout import COMPONENTS, WORD_BYTES, held_by
from privacy.schemes.shares.payload import PayloadCheck, payload_root
from privacy.sealing import CONTENT_KEY_BYTES, SEAL_OVERHEAD, ciphertext_digest
from privacy.signing import Purpose, sign
from tests.coordinator import seated_round
from tests.coordinator.seated_round import SEATS
from tests.fakes import AUDITOR, SITES, Federation, ledger_of, signed_by, signing_key

PART_BYTES = SEAL_OVERHEAD + 2 * SECRET_BYTES + WORD_BYTES
SEALED_SUM_BYTES = seated_round.SEALED_BYTES


def make_settings(**rounds: object) -> config.Settings:
    """Return settings of a programme of two rounds of two small chunks each."""
    settings = seated_round.make_settings(**rounds)
    model = config.ModelSettings(seated_round.DIMENSION, "ab" * 32)
    return canonical_replace(settings, model=model)


def canonical_replace(settings: config.Settings, **other: object) -> config.Settings:
    """Return settings with other fields."""
    names = settings.__struct_fields__
    return config.Settings(**{name: getattr(settings, name) for name in names} | other)


def payload(plan: Plan, name: str, chunk: int) -> bytes:
    """Return what could be one chunk of a site's component that travels."""
    length = PayloadCheck(plan.shares(), plan.arithmetic.dimension).length_of(chunk)
    seed = f"{name}/{plan.terms.round}/{chunk}".encode()
    return hashlib.shake_128(seed).digest(length)


def parts(plan: Plan, name: str) -> tuple[bytes, ...]:
    """Return what could be the secrets of a contribution, sealed to each seat in order."""
    return tuple(
        hashlib.shake_128(f"{plan.digest()}/{name}/{seat}".encode()).digest(PART_BYTES)
        for seat in plan.terms.seats
    )


def header(plan: Plan, name: str, /, **other: object) -> SharedContribution:
    """Return the header of a site's contribution, or one that says something else."""
    chunks = [payload(plan, name, at) for at in range(plan.arithmetic.chunks)]
    root = tree_root([payload_root(at, each) for at, each in enumerate(chunks)]).hex()
    seals = zip(plan.terms.seats, parts(plan, name), strict=True)
    said = {
        "federation": plan.terms.federation,
        "round": plan.terms.round,
        "plan": plan.digest(),
        "participant": name,
        "pieces": (Piece(FOR_SEATS, SHARES, root, len(chunks), sum(map(len, chunks))),),
        "claim": events_of(plan.terms.privacy.training),
        "ledger": ledger_of(name, plan.terms.round),
        "roots": tuple(sha256_hex(f"{name}/{at}".encode()) for at in range(COMPONENTS)),
        "seals": tuple(SealedParts(seat, sha256_hex(part)) for seat, part in seals),
    }
    return SharedContribution(**(said | other))


@dataclass
class SeatedFederation(Federation):
    """A federation whose rounds are under `shares`."""

    settings: config.Settings = field(default_factory=make_settings)
    roster: Roster = field(default_factory=seated_round.make_roster)

    away: tuple[str, ...] = ()

    def tick(self, count: int = 1) -> None:
        """Let the seats that are up say so, and the coordinator do what is due."""
        for seat, start in zip(SEATS, seated_round.STARTS, strict=True):
            if seat not in self.away:
                self.service.starts.hear(seat, start)
        super().tick(count)

    def open_round(self, number: int = 1) -> Plan:
        """Bring a round to where it takes contributions; nobody makes a key for it."""
        self.tick(2)
        return self.service.plan(number)[0]

    def contribute(self, name: str, number: int = 1) -> Signed:
        """Let a site do all of its part; return the receipt."""
        plan, _ = self.service.plan(number)
        takes = self.service.contributions
        offset = takes.begin(name, signed_by(name, header(plan, name)), (), parts(plan, name))
        for at in range(0 if offset.committed else plan.arithmetic.chunks):
            takes.put_chunk(name, number, 0, at, payload(plan, name, at))
        return takes.commit(name, number)

    def judge(self, seat: str, *refused: Refused, number: int = 1, unasked: str = "") -> None:
        """Let a seat judge the candidates."""
        current = self.round(number)
        verdict = Verdict(
            federation=self.settings.federation,
            round=number,
            plan=current.plan,
            candidates=current.candidates,
            seat=seat,
            refused=refused,
            unasked=unasked,
        )
        self.service.seats.judging.put_verdict(seat, signed_by(seat, verdict))

    def candidates(self, number: int = 1) -> Candidates:
        """Return the candidates that the coordinator has signed."""
        signed, _ = self.service.seats.judging.candidates(SEATS[0], number)
        return canonical.decode(signed.body, Candidates)

    def certify(self, name: str, number: int = 1) -> None:
        """Let a seat or a trainer sign the cohort."""
        signed, _ = self.service.sums.cohort(name, number)
        signature = sign(signing_key(name), Purpose.CERTIFICATE, signed.body)
        cohort = self.round(number).cohort
        self.service.seats.certifying.sign_cohort(name, number, cohort, signature)

    def state(self, seat: str, number: int = 1, lie: int | None = None) -> None:
        """Let a seat state its sums, that of component `lie` false."""
        plan, _ = self.service.plan(number)
        current, held = self.round(number), held_by(SEATS.index(seat))
        sealed = [
            [
                hashlib.shake_128(f"{number}/{seat}/{at}/{chunk}".encode()).digest(SEALED_SUM_BYTES)
                for chunk in range(plan.arithmetic.chunks)
            ]
            for at in held
        ]
        words = tuple(
            SealedWords(
                at,
                "f" * 64 if at == lie else seated_round.root_of(at),
                ciphertext_digest(chunks),
                sum(map(len, chunks)),
            )
            for at, chunks in zip(held, sealed, strict=True)
        )
        wraps = tuple(
            Wrap(each.participant, bytes(SEAL_OVERHEAD + CONTENT_KEY_BYTES))
            for each in self.roster.trainers()
        )
        statement = SeatSum(
            federation=self.settings.federation,
            round=number,
            plan=current.plan,
            cohort=current.cohort,
            seat=seat,
            roster=self.roster.digest(),
            chunks=plan.arithmetic.chunks,
            sums=words,
            wraps=wraps,
        )
        upload = self.service.seats.sums.begin(seat, signed_by(seat, statement))
        for position, chunks in enumerate(sealed):
            for chunk in chunks:
                self.service.seats.sums.put_chunk(upload, position, chunk)
        self.service.seats.sums.finish(upload)

    # -- the way to a phase ----------------------------------------------------------

    def close(self, number: int = 1, *, sites: tuple[str, ...] = SITES) -> None:
        """Bring a round to its candidates."""
        self.open_round(number)
        for name in sites:
            self.contribute(name, number)
        self.tick()

    def freeze(self, number: int = 1) -> None:
        """Bring a round that has candidates to its cohort."""
        for seat in SEATS:
            self.judge(seat, number=number)
        self.tick()

    def sum_up(self, number: int = 1) -> None:
        """Bring a round that has a cohort to where its sum is opened."""
        for seat in SEATS:
            self.certify(seat, number)
        for seat in SEATS:
            self.state(seat, number)
        self.tick()

    def whole(self, number: int = 1) -> None:
        """Bring a round from its plan to its release."""
        self.close(number)
        self.freeze(number)
        self.sum_up(number)
        self.finish(number)

    def name_liar(self, *seats: str, number: int = 1) -> None:
        """Let the auditor judge a dispute."""
        self.service.seats.disputes.name_liar(AUDITOR, number, seats)
