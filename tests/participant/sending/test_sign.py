"""A contribution's header binds its pieces to round, plan, key and privacy claim."""

import pytest

from participant.sending.sign import contribution, sign
from privacy.documents import check_signer
from privacy.errors import InvalidSignature
from privacy.events import PoissonSampled, SelfComposed
from privacy.records import PURPOSES, Contribution, digest_of
from tests.participant import signed_round as made

PLAN = made.plan()
MASK = made.sealed_mask(PLAN, "amber")
LEDGER = made.ledger_of("amber", 1)
HEADER = contribution(PLAN, "amber", made.header_of(PLAN, "amber").pieces, MASK, LEDGER)
PUBLIC = made.keys("amber").signing_public


def test_the_header_names_what_it_was_made_for():
    """All of it from the plan, nothing from the coordinator's mouth."""
    assert (HEADER.federation, HEADER.round) == ("oncology", 1)
    assert (HEADER.plan, HEADER.key_record) == (PLAN.digest(), PLAN.terms.key_record)
    assert (HEADER.mask, HEADER.masks) == (MASK.commitment, MASK.named)
    assert [each.opener for each in HEADER.masks] == list(PLAN.terms.openers)
    assert HEADER.ledger == LEDGER
    for event in (HEADER.claim.sums, HEADER.claim.vector):
        assert isinstance(event, SelfComposed)
        assert event.count == 6
        assert isinstance(event.event, PoissonSampled)


def test_the_signature_is_the_participants_for_this_purpose():
    """And for no other record."""
    signed = sign(HEADER, "amber", made.keys("amber").signing)

    check_signer(signed, PURPOSES[Contribution], "amber", PUBLIC)

    for kind, purpose in PURPOSES.items():
        if kind is not Contribution:
            with pytest.raises(InvalidSignature):
                check_signer(signed, purpose, "amber", PUBLIC)


def test_another_plan_is_another_contribution():
    """With the same bytes in it."""
    other = contribution(made.plan(clip="19"), "amber", HEADER.pieces, MASK, LEDGER)

    assert digest_of(other) != digest_of(HEADER)
