"""What seats have said is believed only under their own keys, and of the round's own cohort."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from coordinator.adapters.sql.store import open_store
from coordinator.archive import Archive
from coordinator.rounds.state import Judgement, Phase, Round, Rules, Stated
from coordinator.scoring.scores import scores_kind
from privacy import canonical
from privacy.documents import Signed
from privacy.records import (
    PURPOSES,
    Cohort,
    Record,
    Refused,
    Score,
    Scores,
    SealedWords,
    SeatSum,
    Verdict,
    digest_of,
)
from privacy.roster import Member, Role, Roster
from privacy.signing import Purpose, sign
from veilsum.federation.observe import observe
from veilsum.federation.statements import Opened, Statements

NUMBER = 3
PLAN = "aa" * 32
COHORT = Cohort("tests", NUMBER, PLAN, ())
SEATS = ("north", "east", "west")
TRAINERS = ("a", "b", "c")
KEYS = {
    name: Ed25519PrivateKey.generate() for name in ("coordinator", "stranger", *SEATS, *TRAINERS)
}
SCORES = Scores("tests", NUMBER, PLAN, digest_of(COHORT), 24, (Score("a", "16777216", "0"),))
ROOTS = ("00" * 32, "11" * 32, "22" * 32)


def signed(record: Record, name: str, key: str = "") -> Signed:
    """A record under a signature in a member's name, by whichever key."""
    body = canonical.encode(record)
    return Signed(body, {name: sign(KEYS[key or name], PURPOSES[type(record)], body)})


def statement(seat: str, root: str = ROOTS[0]) -> SeatSum:
    words = [SealedWords(component, root, "cc" * 32, 100) for component in (0, 1)]
    return SeatSum("tests", NUMBER, PLAN, digest_of(COHORT), seat, "bb" * 32, 1, tuple(words), ())


def verdict(seat: str, *refused: Refused) -> Verdict:
    return Verdict("tests", NUMBER, PLAN, "dd" * 32, seat, refused)


@dataclass
class Seen:
    """A round whose cohort the coordinator has signed, and what others have said of it."""

    statements: Statements
    archive: Archive
    current: Round

    def certify(self, *names: str, key: str = "", record: Record = COHORT) -> None:
        """Keep signatures on the cohort in these names."""
        for name in names:
            body = canonical.encode(record)
            signature = sign(KEYS[key or name], Purpose.CERTIFICATE, body)
            self.archive.keep_signature("cohort", digest_of(COHORT), name, signature)

    def say(self, seat: str, key: str = "", *refused: Refused) -> None:
        """Keep a verdict in a seat's name, and count it."""
        said = verdict(seat, *refused)
        self.archive.keep("verdict", digest_of(said), signed(said, seat, key))
        judged = (*self.current.judged, Judgement(seat, digest_of(said)))
        self.current = replace(self.current, judged=judged)

    def state(self, seat: str, key: str = "", root: str = ROOTS[0]) -> None:
        """Keep a statement in a seat's name, and count it."""
        made = statement(seat, root)
        self.archive.keep("seat-sum", f"{NUMBER:06d}-{seat}", signed(made, seat, key))
        stated = (*self.current.stated, Stated(seat, digest_of(made), ROOTS))
        self.current = replace(self.current, stated=stated)

    def score(self, *names: str, scores: Scores = SCORES, key: str = "") -> None:
        """Keep scores in these seats' names."""
        for name in names:
            self.archive.keep(scores_kind(NUMBER), name, signed(scores, name, key))

    def scores(self) -> Opened:
        """What is taken of them."""
        return self.statements.scores(self.current)


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    database = f"sqlite:///{tmp_path / 'coordinator.sqlite'}"
    members = tuple(
        Member(name, f"Organisation {name}", (role,), _public(name), _public(name) * 38)
        for name, role in sorted(
            [
                *((name, Role.AGGREGATOR) for name in SEATS),
                *((name, Role.TRAINER) for name in TRAINERS),
            ]
        )
    )
    roster = Roster("tests", 0, _public("coordinator"), members)
    archive = Archive(open_store(database), KEYS["coordinator"])
    archive.state("cohort", COHORT)
    rules = Rules(("a", "b"), TRAINERS, 2, 2, 3.0, 60.0, seats=SEATS)
    current = Round(NUMBER, rules, Phase.DONE, plan=PLAN, cohort=digest_of(COHORT))
    return Seen(Statements(roster, observe(database)), archive, current)


def _public(name: str) -> bytes:
    return KEYS[name].public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("signers", "enough"),
    [
        (SEATS, True),
        ((*SEATS[:2], *TRAINERS), True),
        ((*SEATS[:2], *TRAINERS[:2]), False),
        ((*SEATS[:2], TRAINERS[0]), False),
        ((SEATS[0], *TRAINERS), False),
        ((), False),
    ],
)
def test_a_cohort_is_certified_by_three_seats_or_two_and_most_trainers(
    seen: Seen, signers: tuple[str, ...], enough: bool
) -> None:
    """Any two such sets have somebody in common who signs once."""
    seen.certify(*signers)

    found = seen.statements.certificate(seen.current)

    assert found.complete is enough
    assert set(found.seats) | set(found.trainers) == set(signers)


def test_only_a_signers_own_key_counts(seen: Seen) -> None:
    """Whoever holds the database could have put any bytes there."""
    seen.certify(SEATS[0], key="stranger")
    seen.certify(SEATS[1], record=replace(COHORT, plan="ee" * 32))
    seen.certify(SEATS[2])

    assert seen.statements.certificate(seen.current).seats == SEATS[2:]


def test_a_round_without_a_cohort_is_certified_by_nobody(seen: Seen) -> None:
    """It was given up before."""
    early = replace(seen.current, cohort="")

    assert not seen.statements.certificate(early).complete


def test_verdicts_are_each_seats_own(seen: Seen) -> None:
    """With whom it refused."""
    refused = Refused("b", "norm_over_bound", "too long")
    seen.say(SEATS[0], "", refused)
    seen.say(SEATS[1], "stranger")

    found = seen.statements.verdicts(seen.current)

    assert list(found) == [SEATS[0]]
    assert found[SEATS[0]].refused == (refused,)


def test_sums_are_those_that_counted(seen: Seen) -> None:
    """Under the seat's key, named in the round, and of no seat that was found to lie."""
    seen.state(SEATS[0])
    seen.state(SEATS[1], "stranger")
    seen.state(SEATS[2], root="33" * 32)
    seen.archive.keep("seat-sum", "000004-east", signed(statement(SEATS[1], ROOTS[2]), SEATS[1]))

    found = seen.statements.sums(replace(seen.current, liars=(SEATS[2],)))

    assert found == {SEATS[0]: statement(SEATS[0])}


def test_scores_count_where_all_three_seats_have_signed_the_same(seen: Seen) -> None:
    """One seat cannot slander a site, nor two."""
    seen.score(*SEATS)

    assert seen.scores() == Opened(SCORES.scores, "", SCORES)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"east": SCORES, "north": SCORES}, "not signed by west"),
        ({}, "not signed by north and east and west"),
        (
            {"east": SCORES, "north": SCORES, "west": replace(SCORES, step_log2=23)},
            "signed differently",
        ),
        (dict.fromkeys(SEATS, replace(SCORES, cohort="ee" * 32)), "not signed by north"),
        (
            {"east": replace(SCORES, scores=(), void="west is away")},
            "not signed by north and west; west is away",
        ),
    ],
)
def test_otherwise_there_are_none_and_the_reason_is_told(
    seen: Seen, said: dict[str, Scores], why: str
) -> None:
    """With what the seats that did sign say themselves."""
    for seat, scores in said.items():
        seen.score(seat, scores=scores)

    found = seen.scores()

    assert found.scores == ()
    assert found.void.startswith(why)


def test_scores_under_another_key_do_not_count(seen: Seen) -> None:
    """In the seat's name, by whoever holds the database."""
    seen.score(*SEATS[:2])
    seen.score(SEATS[2], key="stranger")

    assert seen.scores() == Opened((), "not signed by west")


def test_scores_that_all_signed_as_void_say_why(seen: Seen) -> None:
    """A squared norm was not the one that a site had declared."""
    void = replace(SCORES, scores=(), void="a declared another norm")
    seen.score(*SEATS, scores=void)

    assert seen.scores() == Opened((), "a declared another norm", void)


def by_openers(seen: Seen) -> None:
    """Make it a round without seats, whose scores are those that two of three openers signed."""
    rules = replace(seen.current.rules, seats=(), openers=TRAINERS, agreement=2)
    seen.current = replace(seen.current, rules=rules, scores=digest_of(SCORES))


def test_scores_count_where_enough_openers_have_signed_what_the_round_says(seen: Seen) -> None:
    """Under `ckks`; who signed something else is not among them."""
    by_openers(seen)
    seen.score("a", "b")
    seen.score("c", scores=replace(SCORES, scores=(), void="b stated nothing"))

    assert seen.scores() == Opened(SCORES.scores, "", SCORES)


@pytest.mark.parametrize(
    ("other", "key"), [("c", "stranger"), ("north", "")], ids=["another key", "no opener"]
)
def test_scores_that_too_few_openers_signed_do_not_count(seen: Seen, other: str, key: str) -> None:
    """One is too few; a signature under another key is none, nor is one of who opens nothing."""
    by_openers(seen)
    seen.score("a")
    seen.score(other, key=key)

    found = seen.scores()

    assert found == Opened((), "signed alike by 1 of 2 openers")
