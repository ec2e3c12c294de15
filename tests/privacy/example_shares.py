"""One example of each document of a round under `shares`, beside `example_round`."""

from typing import Final

from msgspec.structs import replace

from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.ledger import Checkpoint
from privacy.mechanism import events_of
from privacy.plan import NORM_BOUND_RELEASE, SCORE_RELEASES, SHARES, Plan, SharesTerms
from privacy.records import (
    SEATS as FOR_SEATS,
)
from privacy.records import (
    Candidates,
    Cohort,
    Entry,
    Piece,
    Refused,
    Score,
    Scores,
    SealedParts,
    SealedWords,
    SeatSum,
    SharedContribution,
    Verdict,
    Wrap,
    digest_of,
)
from privacy.roster import Role, Roster
from privacy.schemes.shares.layout import VALUE_WORDS
from tests.privacy.example_round import (
    FEDERATION,
    NAMES,
    PRIVACY,
    TERMS,
    TRAINING,
    filler,
    member,
    roster,
)

SEATS: Final = ("elm", "fern", "gorse")


def shares_roster() -> Roster:
    """Version 0: four trainers and three seats."""
    seats = tuple(member(name, Role.AGGREGATOR) for name in SEATS)
    return roster(members=(*roster().members, *seats))


SHARES_ARITHMETIC = Arithmetic(
    scheme=SHARES,
    dimension=4000,
    values_per_chunk=2 * VALUE_WORDS,
    fraction_bits=16,
    value_bits=24,
    ranges=(ModulusRange(0, 2, 0, 1 << 64),),
)

STARTS: Final = (filler("start of elm"), filler("start of fern"), "")
"""Of the seats; the third was away."""

SCHEME = SharesTerms(
    values_per_word=1,
    leaves_per_chunk=2,
    cohort_max=4,
    starts=STARTS,
    norm_bound=1_310_736,
    score_step_log2=10,
    unchecked=False,
)

SHARES_TERMS = replace(
    TERMS,
    roster=shares_roster().digest(),
    key_record=None,
    scheme=SCHEME,
    privacy=replace(PRIVACY, releases=("participation", NORM_BOUND_RELEASE, *SCORE_RELEASES)),
    seats=SEATS,
    auditor="watch",
)

SHARES_PLAN = Plan(SHARES_ARITHMETIC, SHARES_TERMS)

CONTRIBUTION = SharedContribution(
    federation=FEDERATION,
    round=1,
    plan=SHARES_PLAN.digest(),
    participant="amber",
    pieces=(Piece(FOR_SEATS, SHARES, filler("root"), chunks=2, length=32032),),
    claim=events_of(TRAINING),
    ledger=Checkpoint(3, filler("three rows of amber")),
    roots=(filler("root of 0"), filler("root of 1"), filler("root of 2")),
    seals=(
        SealedParts("elm", filler("parts of amber for elm")),
        SealedParts("fern", filler("parts of amber for fern")),
        SealedParts("gorse", filler("parts of amber for gorse")),
    ),
)

ENTRIES = (
    Entry("amber", digest_of(CONTRIBUTION), (filler("root"),)),
    Entry("birch", filler("another contribution"), (filler("another root"),)),
    Entry("cedar", filler("a third contribution"), (filler("a third root"),)),
)

CANDIDATES = Candidates(FEDERATION, 1, SHARES_PLAN.digest(), ENTRIES)

VERDICT = Verdict(
    federation=FEDERATION,
    round=1,
    plan=SHARES_PLAN.digest(),
    candidates=digest_of(CANDIDATES),
    seat="elm",
    refused=(Refused("cedar", "norm_over_bound", "norm over the bound"),),
)

COHORT = Cohort(FEDERATION, 1, SHARES_PLAN.digest(), ENTRIES[:2])

SEAT_SUM = SeatSum(
    federation=FEDERATION,
    round=1,
    plan=SHARES_PLAN.digest(),
    cohort=digest_of(COHORT),
    seat="fern",
    roster=shares_roster().digest(),
    chunks=2,
    sums=(
        SealedWords(1, filler("root of sum 1"), filler("sealed sum 1"), 32960),
        SealedWords(2, filler("root of sum 2"), filler("sealed sum 2"), 32960),
    ),
    wraps=tuple(Wrap(name, name.encode()) for name in NAMES),
)

SCORES = Scores(
    federation=FEDERATION,
    round=1,
    plan=SHARES_PLAN.digest(),
    cohort=digest_of(COHORT),
    step_log2=10,
    scores=(Score("amber", "1024", "-2048"), Score("birch", "0", "4096")),
)

RECORDS = (CONTRIBUTION, CANDIDATES, VERDICT, SEAT_SUM, SCORES)
"""In the order in which they are made; cohort, sum and release are as in `example_round`."""
