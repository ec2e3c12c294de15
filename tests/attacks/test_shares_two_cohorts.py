"""A coordinator that runs a seat shows two cohorts, to open both: their difference is an update.

The seat is the coordinator's own, so it signs whatever it likes, as often as it likes. The two
other seats and the trainers are honest, and are shown what the coordinator wants each to see.
"""

from itertools import product

import numpy as np
import pytest

from participant.certify import Certifier
from participant.memory import Memory
from privacy.certificate import check_certificate
from privacy.documents import Signed
from privacy.errors import InvalidSignature, OpeningRefused
from privacy.failpoints import Failpoints
from privacy.records import digest_of
from privacy.signing import Purpose, sign
from tests.participant import shared_round as made
from tests.participant import signed_round
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


@pytest.mark.parametrize("trainers", [0, 1, 2])
def test_two_seats_and_no_majority_of_trainers_open_nothing(trainers):
    """Half of them is not more than half."""
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
            certifier = Certifier(
                signed_round.keys("amber").signing,
                made.policy(),
                made.roster(),
                Memory(tmp_path),
                shown,
                Failpoints(),
            )
            if error is None:
                await certifier.certify(1, digest_of(of.cohort))
            else:
                with pytest.raises(error):
                    await certifier.certify(1, digest_of(of.cohort))

    assert [cohort for _, cohort, _ in seats.signed] == [digest_of(BOTH[0].cohort)]
