"""A certificate: who must have signed a cohort before anything of its round is opened."""

from itertools import combinations

import pytest
from msgspec.structs import replace

from privacy import canonical
from privacy.certificate import check_certificate, is_complete
from privacy.documents import Signed
from privacy.errors import InvalidSignature, WrongContext, WrongIdentity
from privacy.roster import Role
from privacy.signing import Purpose, sign
from tests.privacy.example_round import NAMES, PLAN, roster, signing_key
from tests.privacy.example_shares import COHORT, SEATS, SHARES_PLAN, shares_roster

ROSTER = shares_roster()
BODY = canonical.encode(COHORT)
TWO, MOST = SEATS[:2], NAMES[:3]


def signed(*names, purpose=Purpose.CERTIFICATE, body=BODY, **keys):
    """Return the cohort signed by some, each with its own key or with that of who is named."""
    made = {n: sign(signing_key(keys.get(n, n)), purpose, body) for n in names}
    return Signed(body, made)


# -- who is enough ---------------------------------------------------------------------


@pytest.mark.parametrize("names", [SEATS, (*TWO, *MOST), (*SEATS[1:], *NAMES), (*SEATS, *NAMES)])
def test_three_seats_or_two_and_most_trainers_are_enough(names):
    check_certificate(signed(*names), SHARES_PLAN, ROSTER)


@pytest.mark.parametrize(
    "names", [(), TWO, (*TWO, *NAMES[:2]), (SEATS[0], *NAMES), NAMES, (SEATS[2], *MOST)]
)
def test_fewer_are_not(names):
    """One seat may be the coordinator's own, and a trainer may sign twice."""
    with pytest.raises(InvalidSignature, match="three seats are needed, or two and more"):
        check_certificate(signed(*names), SHARES_PLAN, ROSTER)


def test_what_is_missing_is_said():
    with pytest.raises(InvalidSignature, match="2 of 3 seats and 1 of 4 trainers"):
        check_certificate(signed(*TWO, NAMES[3]), SHARES_PLAN, ROSTER)


@pytest.mark.parametrize(
    ("trainers", "least"), [(2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (9, 7), (10, 7)]
)
def test_two_thirds_of_the_trainers_are_not_more_than_two_thirds(trainers, least):
    """Beside two seats."""
    names = [f"trainer-{at}" for at in range(trainers)]

    assert not is_complete((*TWO, *names[: least - 1]), SEATS, names)
    assert is_complete((*TWO, *names[:least]), SEATS, names)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_any_two_certificates_share_two_seats_or_a_seat_and_more_than_a_third(count):
    """So a dishonest seat and a third of the trainers have no two certificates of one round."""
    trainers = tuple(f"trainer-{at}" for at in range(count))
    everyone = (*SEATS, *trainers)
    enough = [
        set(signers)
        for size in range(len(everyone) + 1)
        for signers in combinations(everyone, size)
        if is_complete(signers, SEATS, trainers)
    ]

    assert enough
    for one in enough:
        for other in enough:
            seats, both = one & other & set(SEATS), one & other & set(trainers)
            assert len(seats) >= 2 or (seats and 3 * len(both) > count)


# -- signatures that do not count ------------------------------------------------------


def test_others_signatures_are_not_looked_at():
    """The coordinator's own, an auditor's, or anything at all under another name."""
    complete = signed(*SEATS)
    more = {**complete.signatures, "coordinator": b"", "watch": b"nonsense", "stranger": b"x"}

    check_certificate(Signed(BODY, more), SHARES_PLAN, ROSTER)


@pytest.mark.parametrize("name", [SEATS[0], NAMES[0]])
@pytest.mark.parametrize("wrong", [b"", bytes(64), "another key", Purpose.COHORT])
def test_a_wrong_signature_is_refused_even_beside_enough_others(name, wrong):
    """It is there because somebody put it there."""
    if wrong == "another key":
        made = sign(signing_key("delta"), Purpose.CERTIFICATE, BODY)
    elif isinstance(wrong, Purpose):
        made = sign(signing_key(name), wrong, BODY)
    else:
        made = wrong
    complete = signed(*SEATS, *NAMES)

    with pytest.raises(InvalidSignature):
        check_certificate(Signed(BODY, {**complete.signatures, name: made}), SHARES_PLAN, ROSTER)


def test_a_signature_of_another_cohort_does_not_count():
    other = canonical.encode(replace(COHORT, entries=COHORT.entries[:1]))
    moved = Signed(BODY, signed(*SEATS, body=other).signatures)

    with pytest.raises(InvalidSignature):
        check_certificate(moved, SHARES_PLAN, ROSTER)


# -- of another round, plan or roster --------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{"federation": "cardiology"}, {"round": 2}, {"plan": "0" * 64}]
)
def test_a_certificate_of_another_round_is_refused(changes):
    body = canonical.encode(replace(COHORT, **changes))

    with pytest.raises(WrongContext, match="another round or plan"):
        check_certificate(signed(*SEATS, body=body), SHARES_PLAN, ROSTER)


def test_a_plan_without_seats_has_no_certificate():
    body = canonical.encode(replace(COHORT, plan=PLAN.digest()))

    with pytest.raises(InvalidSignature):
        check_certificate(signed(*SEATS, *NAMES, body=body), PLAN, roster())


def test_another_roster_than_the_plans_is_refused():
    """Majorities of two different rosters need not have a trainer in common."""
    with pytest.raises(WrongContext, match="another roster"):
        check_certificate(signed(*SEATS), SHARES_PLAN, replace(ROSTER, federation="cardiology"))


@pytest.mark.parametrize("roles", [(Role.TRAINER,), (Role.AGGREGATOR, Role.TRAINER), ()])
def test_a_seat_that_is_no_aggregator_alone_is_refused(roles):
    """It would count among the seats and among the trainers."""
    members = tuple(
        replace(each, roles=roles) if each.participant == SEATS[0] else each
        for each in ROSTER.members
    )
    other = replace(ROSTER, members=members)
    plan = type(SHARES_PLAN)(
        SHARES_PLAN.arithmetic, replace(SHARES_PLAN.terms, roster=other.digest())
    )
    body = canonical.encode(replace(COHORT, plan=plan.digest()))

    with pytest.raises(WrongIdentity, match="has no seat"):
        check_certificate(signed(*SEATS, body=body), plan, other)


def test_a_seat_that_the_roster_does_not_have_is_refused():
    plan = type(SHARES_PLAN)(
        SHARES_PLAN.arithmetic, replace(SHARES_PLAN.terms, seats=(*TWO, "stranger"))
    )
    body = canonical.encode(replace(COHORT, plan=plan.digest()))

    with pytest.raises(WrongIdentity, match="stranger"):
        check_certificate(signed(*TWO, body=body), plan, ROSTER)
