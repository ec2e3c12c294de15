"""A coordinator that runs a seat shows two cohorts, to open both: their difference is an update.

The seat is the coordinator's own, so it signs whatever it likes, as often as it likes. The two
other seats are honest, and so are all trainers, or more than two thirds of them; each is shown
what the coordinator wants it to see.
"""

from contextlib import suppress
from itertools import product

import msgspec
import numpy as np
import pytest

from participant.memory import Memory
from participant.opening.certify import Certifier
from privacy.certificate import check_certificate, is_complete
from privacy.documents import Signed
from privacy.errors import InvalidSignature, OpeningRefused
from privacy.failpoints import Failpoints
from privacy.records import digest_of
from privacy.signing import Purpose, sign
from tests.participant import kept_ledger, signed_round
from tests.participant import shared_round as made
from tests.participant.agent_at_work import Showing

LURED, HONEST = made.SEATS[0], made.SEATS[1:]
BOTH = (made.Round(), made.Round(names=made.TRAINERS[:3]))
"""With the victim, delta, and without it."""


class Signer:
    """An honest seat or trainer: it signs what it is shown, if its memory lets it."""

    def __init__(self, name, *, forgets):
        self.name, self.forgets = name, forgets
        self.first = None

    def sign(self, cohort):
        """Its signature, or none."""
        self.first = cohort if self.forgets else self.first or cohort
        return signature_of(self.name, cohort) if cohort == self.first else {}


def signature_of(name, cohort):
    """What a member signs for a certificate."""
    key, body = signed_round.keys(name).signing, signed_round.encoded(cohort)
    return {name: sign(key, Purpose.CERTIFICATE, body)}


def opens(of, signatures):
    """Whether an honest opener would open the sum of this cohort."""
    plain = signed_round.by_coordinator(of.cohort)
    try:
        check_certificate(
            Signed(plain.body, {**plain.signatures, **signatures}), of.plan, made.roster()
        )
    except InvalidSignature:
        return False
    return True


def opened_by(shown_first, *, forgets):
    """How many of the two cohorts can be opened.

    Args:
        shown_first: for each honest signer, which of the two it is shown first; then the other.
    """
    signatures = [signature_of(LURED, of.cohort) for of in BOTH]
    for name, first in zip((*HONEST, *made.TRAINERS), shown_first, strict=True):
        signer = Signer(name, forgets=forgets)
        for which in (first, 1 - first):
            signatures[which] |= signer.sign(BOTH[which].cohort)
    return sum(opens(of, each) for of, each in zip(BOTH, signatures, strict=True))


EVERY_WAY = list(product((0, 1), repeat=len(HONEST) + len(made.TRAINERS)))


def test_however_two_cohorts_are_shown_one_opens_at_most():
    """Each of the 64 ways to show each of two seats and four trainers one cohort first."""
    counts = [opened_by(way, forgets=False) for way in EVERY_WAY]

    assert max(counts) == 1
    assert counts[0] == counts[-1] == 1


def test_without_the_memory_both_open_and_the_difference_is_an_update():
    """The positive control: it is once for each round that protects, and nothing else here."""
    assert opened_by(EVERY_WAY[0], forgets=True) == len(BOTH)

    assert np.array_equal(BOTH[0].total() - BOTH[1].total(), signed_round.update("delta"))


def test_two_seats_alone_certify_nothing():
    """Nor does a second seat that the coordinator has turned: trainers have one memory each."""
    signatures = [signature_of(made.SEATS[1], of.cohort) for of in BOTH]
    signatures = [
        each | signature_of(LURED, of.cohort) for of, each in zip(BOTH, signatures, strict=True)
    ]

    assert not any(opens(of, each) for of, each in zip(BOTH, signatures, strict=True))


def more_than_half(signers, seats, trainers):
    """The rule of certificates as it might have been: half of the trainers, and not two thirds."""
    signed = set(signers)
    most = 2 * len(signed & set(trainers)) > len(set(trainers))
    by_seats = len(signed & set(seats))
    return by_seats == len(seats) or (by_seats == len(seats) - 1 and most)


def two_are_certified(count, dishonest, rule):
    """Whether honest trainers can be split so that two cohorts have a certificate.

    Args:
        count: of trainers, of whom `dishonest` sign both.
    """
    names = [f"trainer-{at}" for at in range(count)]
    both, honest = {LURED, *names[:dishonest]}, names[dishonest:]
    return any(
        rule({*both, HONEST[0], *honest[:shown]}, made.SEATS, names)
        and rule({*both, HONEST[1], *honest[shown:]}, made.SEATS, names)
        for shown in range(len(honest) + 1)
    )


@pytest.mark.parametrize("count", range(2, 20))
def test_a_third_of_the_trainers_may_sign_twice(count):
    """With them, the coordinator and its seat have one certificate of a round at most."""
    assert not any(two_are_certified(count, k, is_complete) for k in range(count // 3 + 1))


@pytest.mark.parametrize("count", range(3, 20, 2))
def test_by_more_than_half_one_trainer_that_signs_twice_would_be_enough(count):
    """The positive control of the rule, and the reason for two thirds."""
    assert two_are_certified(count, 1, more_than_half)
    assert not two_are_certified(count, 1, is_complete)


@pytest.mark.parametrize(
    ("rule", "opened"), [(is_complete, 0), (more_than_half, 2)], ids=["two thirds", "half"]
)
def test_of_three_trainers_one_that_signs_twice_opens_no_second_cohort(monkeypatch, rule, opened):
    """By the product's own check of signatures, and by the same with the other rule."""
    monkeypatch.setattr("privacy.certificate.is_complete", rule)
    members = tuple(each for each in made.roster().members if each.participant != "delta")
    roster = msgspec.structs.replace(made.roster(), members=members)
    plan = made.plan(roster=roster.digest())
    signers = ((LURED, HONEST[0], "amber", "birch"), (LURED, HONEST[1], "amber", "cedar"))

    certified = 0
    for of, names in zip(BOTH, signers, strict=True):
        cohort = msgspec.structs.replace(of.cohort, plan=plan.digest())
        with suppress(InvalidSignature):
            check_certificate(made.certified(cohort, *names), plan, roster)
            certified += 1

    assert certified == opened


@pytest.mark.parametrize("trainers", [0, 1, 2])
def test_two_seats_and_too_few_trainers_open_nothing(trainers):
    """Two of four are not more than two thirds."""
    signers = (*made.SEATS[:2], *made.TRAINERS[:trainers])
    cohort = made.certified(BOTH[0].cohort, *signers)

    with pytest.raises(InvalidSignature):
        check_certificate(cohort, BOTH[0].plan, made.roster())


async def test_a_trainers_own_agent_is_such_a_signer(tmp_path):
    """What is assumed of signers above, of the product's own: after a restart as well."""
    seats, shown = made.Seats(), Showing()
    with made.answering(seats):
        for of, error in ((BOTH[0], None), (BOTH[1], OpeningRefused)):
            made.shown_by(shown, of)
            memory = Memory(tmp_path)
            certifier = Certifier(
                signed_round.keys("amber").signing,
                made.policy(),
                made.roster(),
                memory,
                kept_ledger.peers(tmp_path, memory),
                shown,
                Failpoints(),
            )
            if error is None:
                await certifier.certify(1, digest_of(of.cohort))
            else:
                with pytest.raises(error):
                    await certifier.certify(1, digest_of(of.cohort))

    assert [cohort for _, cohort, _ in seats.signed] == [digest_of(BOTH[0].cohort)]
