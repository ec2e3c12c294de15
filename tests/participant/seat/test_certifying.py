"""A seat's part of a certificate: one cohort of a round, ever, of what it has taken itself."""

import pytest

from participant.seat.certifying import certify
from participant.seat.judging import judge
from privacy import canonical
from privacy.errors import CohortTooSmall, InvalidSignature, OpeningRefused, WrongContext
from privacy.plan import SharesTerms
from privacy.signing import Purpose, public_bytes, verify
from tests.participant import signed_round as made
from tests.participant.seat import seated as work

PLAN = work.plan()
LATER = "1a" * 32
"""What a process drew that has started after the plan."""


@pytest.fixture
def desk():
    return work.Desk.of(PLAN)


async def certified(tmp_path, desk, *, judged=True, **more):
    """Let a seat that has just started judge, if need be, and certify."""
    at_work = work.seat(tmp_path, desk, **more)
    try:
        if judged:
            await judge(at_work, await work.sitting(at_work))
        await certify(at_work, await work.sitting(at_work))
    finally:
        at_work.memory.close()


async def test_the_cohort_is_signed_for_a_certificate(tmp_path, desk):
    """The same bytes that the coordinator has signed, for another purpose."""
    await certified(tmp_path, desk)

    body = canonical.encode(desk.cohort_record())
    key = public_bytes(made.keys("north").signing)
    verify(key, Purpose.CERTIFICATE, body, desk.certificate["north"])


async def test_a_second_cohort_is_never_signed(tmp_path, desk):
    """Two sums of one round differ by somebody's update."""
    await certified(tmp_path, desk)
    first = dict(desk.certificate)
    desk.names = work.SITES[:3]

    with pytest.raises(OpeningRefused, match="the coordinator shows two"):
        await certified(tmp_path, desk)
    assert desk.certificate == first


async def test_killed_after_the_record_it_signs_the_same(tmp_path, desk):
    """The record says which cohort it is, to whatever process reads it."""
    point = work.killed_at("seat.after_certify_record")
    with pytest.raises(work.Killed):
        await certified(tmp_path, desk, failpoints=point)
    assert desk.certificate == {}

    await certified(tmp_path, desk, start=LATER)

    assert set(desk.certificate) == {"north"}


async def test_killed_before_the_record_it_sits_the_round_out(tmp_path, desk):
    """Its disk looks the same as that of a seat that has forgotten what it signed."""
    point = work.killed_at("seat.before_certify_record")
    with pytest.raises(work.Killed):
        await certified(tmp_path, desk, failpoints=point)

    with pytest.raises(OpeningRefused, match="started after the round was planned"):
        await certified(tmp_path, desk, start=LATER)
    assert desk.certificate == {}


@pytest.mark.parametrize("start", [work.STARTS[0], ""])
async def test_the_start_of_another_seat_or_of_none_is_not_its_own(tmp_path, desk, start):
    """The plan names each seat's in its place."""
    with pytest.raises(OpeningRefused, match="started after the round was planned"):
        await certified(tmp_path, desk, start=start)
    assert desk.certificate == {}


async def test_a_seat_that_was_away_when_the_round_was_planned_sits_it_out(tmp_path):
    """Its place in the plan is empty, and no process has that start."""
    scheme = SharesTerms(1, 2, 4, (work.STARTS[0], "", work.STARTS[2]))
    desk = work.Desk.of(work.plan(scheme=scheme))

    with pytest.raises(OpeningRefused, match="sits the round out"):
        await certified(tmp_path, desk)
    assert desk.certificate == {}


async def test_killed_after_the_record_it_signs_no_other_cohort(tmp_path, desk):
    """The record was made before the signature, so it counts although nothing left."""
    point = work.killed_at("seat.after_certify_record")
    with pytest.raises(work.Killed):
        await certified(tmp_path, desk, failpoints=point)
    desk.names = work.SITES[:3]

    with pytest.raises(OpeningRefused):
        await certified(tmp_path, desk)
    assert desk.certificate == {}


async def test_a_seat_whose_folder_is_an_old_copy_signs_nothing_that_others_remember(
    tmp_path, desk
):
    """It may have signed another cohort, and have forgotten it."""
    with pytest.raises(OpeningRefused, match="its disk may be an old copy"):
        await certified(tmp_path, desk, floor=1)
    assert desk.certificate == {}


async def test_what_it_remembers_itself_it_signs_again_whatever_others_remember(tmp_path, desk):
    """They remember the certificate that it was a part of."""
    await certified(tmp_path, desk)
    desk.certificate.clear()

    await certified(tmp_path, desk, floor=1)

    assert set(desk.certificate) == {"north"}


async def test_whom_it_has_refused_it_does_not_certify(tmp_path):
    """Nobody could open the sum; and its own verdict would be worth nothing."""
    honest = work.contributed(PLAN, "birch")
    desk = work.Desk.of(PLAN, birch=honest.with_header(roots=("1" * 64,) * 3))
    desk.names = work.SITES

    with pytest.raises(WrongContext, match="birch is in the cohort"):
        await certified(tmp_path, desk)
    assert desk.certificate == {}


async def test_whom_another_seat_has_refused_may_be_missing(tmp_path, desk):
    """The cohort is what all seats have taken."""
    desk.names = ("amber", "cedar", "delta")

    await certified(tmp_path, desk)

    assert set(desk.certificate) == {"north"}


async def test_too_few_organisations_are_not_certified(tmp_path, desk):
    """Whatever the coordinator has signed: plan and policy both count."""
    desk.names = ("amber", "cedar")

    with pytest.raises(CohortTooSmall):
        await certified(tmp_path, desk)
    assert desk.certificate == {}


async def test_other_candidates_than_those_judged_are_refused(tmp_path, desk):
    """The coin was drawn over the first."""
    at_work = work.seat(tmp_path, desk)
    await judge(at_work, await work.sitting(at_work))
    at_work.memory.close()
    del desk.parts["birch"]

    with pytest.raises(WrongContext, match="two lists of candidates"):
        await certified(tmp_path, desk, judged=False)


async def test_a_seat_that_was_away_takes_the_cohort_before_it_signs(tmp_path, desk):
    """Its word is worth as much as if it had judged."""
    await certified(tmp_path, desk, judged=False)
    assert set(desk.certificate) == {"north"}
    assert len(desk.streams) == 4


async def test_a_seat_that_was_away_refuses_what_it_cannot_take(tmp_path):
    """A component that does not lead to its root is nobody's word."""
    honest = work.contributed(PLAN, "birch")
    desk = work.Desk.of(PLAN, birch=honest.with_header(roots=("1" * 64,) * 3))

    with pytest.raises(WrongContext, match="birch is in the cohort"):
        await certified(tmp_path, desk, judged=False)


async def test_norms_that_must_be_checked_are_not_certified_unasked(tmp_path):
    """By a seat that has not taken part in the question."""
    desk = work.Desk.of(work.plan(scheme=SharesTerms(1, 2, 4, work.STARTS, norm_bound=3000)))

    with pytest.raises(OpeningRefused, match="unchecked"):
        await certified(tmp_path, desk, judged=False)


async def test_a_cohort_the_coordinator_has_not_signed_is_refused(tmp_path, desk):
    """Its signature makes a second one evidence."""

    async def unsigned(number):
        signed, headers = await type(desk).cohort(desk, number)
        return made.Signed(signed.body, {}), headers

    desk.cohort = unsigned
    with pytest.raises(InvalidSignature):
        await certified(tmp_path, desk)


@pytest.mark.parametrize("names", [work.SITES[:3], work.SITES])
async def test_a_sum_with_less_noise_than_was_accounted_is_not_certified(tmp_path, names):
    """Two honest sites and two colluders are four: of three no seat adds anything."""
    noise = made.shared_noise("2", units_cap=1, noise_multiplier="0.5", honest=2, colluders=2)
    desk = work.Desk.of(work.plan(**noise, cohort_minimum=4, quorum=4))
    desk.names = names

    if len(names) == 4:
        await certified(tmp_path, desk)
    else:
        with pytest.raises(CohortTooSmall):
            await certified(tmp_path, desk)
    assert bool(desk.certificate) == (len(names) == 4)
