"""Who signs a cohort, with which key, and that each signature counts once."""

import pytest

from coordinator.rounds.state import Phase
from privacy import canonical
from privacy.errors import IllegalEvent, InvalidSignature, WrongIdentity
from privacy.records import digest_of
from privacy.signing import Purpose, sign
from tests.coordinator.seated_round import SEATS, Seated
from tests.fakes import AUDITOR, SITES, signing_key

OTHER = "ee" * 32


def test_seats_and_trainers_sign_the_cohort_until_it_is_certified():
    seated = Seated(Phase.CERTIFYING)

    for name in (SEATS[0], SEATS[1], SITES[0], SITES[1], SITES[2]):
        assert seated.round().phase is Phase.CERTIFYING
        seated.certify(name)

    assert seated.round().phase is Phase.SUMMING
    kept = seated.archive.with_signatures("cohort", digest_of(seated.cohort))
    assert set(kept.signatures) == {"coordinator", *SEATS[:2], *SITES[:3]}


def test_the_same_signature_again_changes_nothing_in_any_phase():
    seated = Seated(Phase.OPENING)
    before = seated.round()

    seated.certify(SEATS[0])

    assert seated.round() == before


@pytest.mark.parametrize(("name", "key"), [(SEATS[0], SEATS[1]), (SITES[0], SITES[1])])
def test_a_signature_by_another_key_is_refused(name, key):
    seated = Seated(Phase.CERTIFYING)

    with pytest.raises(InvalidSignature):
        seated.certify(name, key)

    assert seated.round().certified == ()


def test_a_signature_for_another_purpose_is_refused():
    """The coordinator's own signature on a cohort certifies nothing."""
    seated = Seated(Phase.CERTIFYING)
    signature = sign(signing_key(SEATS[0]), Purpose.COHORT, canonical.encode(seated.cohort))

    with pytest.raises(InvalidSignature):
        seated.seats.certifying.sign_cohort(SEATS[0], 1, digest_of(seated.cohort), signature)


@pytest.mark.parametrize("name", [AUDITOR, "hospital-z", "coordinator"])
def test_nobody_else_certifies(name):
    seated = Seated(Phase.CERTIFYING)

    with pytest.raises(WrongIdentity):
        seated.certify(name)

    assert seated.store.documents(f"cohort-signature-{digest_of(seated.cohort)}") == []


@pytest.mark.parametrize("cohort", ["", OTHER])
def test_a_signature_on_another_cohort_is_refused(cohort):
    seated = Seated(Phase.CERTIFYING)

    with pytest.raises(IllegalEvent, match="another cohort"):
        seated.seats.certifying.sign_cohort(SEATS[0], 1, cohort, bytes(64))


def test_nothing_is_signed_before_the_cohort_is_frozen():
    seated = Seated(Phase.JUDGING)

    with pytest.raises(IllegalEvent):
        seated.certify(SEATS[0])
