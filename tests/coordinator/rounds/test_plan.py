"""The key's order and the plan, from the settings."""

from decimal import Decimal, getcontext

import msgspec
import pytest

from coordinator import config
from coordinator.rounds import plan as planning
from privacy import plan as plans
from privacy.distributed_sum import DistributedSum
from privacy.errors import IllegalEvent, UnsafeParameters
from privacy.plan import SHARES, Mechanism
from tests import fakes
from tests.coordinator import seated_round
from tests.coordinator.seated_federation import canonical_replace
from tests.coordinator.seated_round import SEATS

SETTINGS, ROSTER = fakes.make_settings(), fakes.make_roster()


def test_the_key_is_ordered_for_the_parameters_of_the_plan():
    """Otherwise every site refuses to encrypt under it."""
    order = planning.key_specification(SETTINGS, ROSTER)
    parameters = fakes.make_plan().parameters()

    assert (order.degree, int(order.modulus)) == (parameters.degree, parameters.modulus)
    assert order.scale_log2 == parameters.scale_log2
    assert (order.value_bits, order.cohort_max) == (24, 4)
    assert (order.openers, order.roster) == (fakes.OPENERS, ROSTER.digest())


def test_a_plan_is_the_same_bytes_for_the_same_settings():
    first, second = fakes.make_plan(), fakes.make_plan()

    assert first.digest() == second.digest()
    assert plans.unpack(plans.pack(first)) == first


@pytest.mark.parametrize(
    "other",
    [
        {"quorum": 4},
        {"agreement": 3},
        {"cohort_minimum": 2},
        {"clip": "2"},
        {"openers": fakes.OPENERS[:2]},
        {"server_learning_rate": "0.5"},
        {"auditor": fakes.AUDITOR},
    ],
)
def test_every_term_is_in_the_digest(other):
    assert fakes.make_plan(fakes.make_settings(**other)).digest() != fakes.make_plan().digest()


@pytest.mark.parametrize(
    "other",
    [
        {"agreement": 1},
        {"agreement": 4},
        {"openers": fakes.OPENERS[:1]},
        {"cohort_minimum": 1},
        {"quorum": 2},
        {"quorum": 5},
        {"auditor": fakes.OPENERS[0]},
    ],
)
def test_settings_that_promise_too_little_make_no_plan(other):
    with pytest.raises(UnsafeParameters):
        fakes.make_plan(fakes.make_settings(**other))


@pytest.mark.parametrize("auditor", [None, fakes.AUDITOR])
def test_the_plan_says_who_audits_or_that_nobody_does(auditor):
    """A site decides by it whether it takes part."""
    assert fakes.make_plan(fakes.make_settings(auditor=auditor)).terms.auditor == auditor


def test_values_too_wide_for_the_cohort_make_no_plan():
    scheme = config.SchemeSettings(20, 40, 1 << 20, 1)

    with pytest.raises(UnsafeParameters):
        planning.parameters(msgspec.structs.replace(SETTINGS, scheme=scheme))


# -- under shares ----------------------------------------------------------------------

SEATED = seated_round.make_settings()


def seated(settings=SEATED, **scheme):
    """Return the plan of a round under `shares`, with other `scheme` settings."""
    changed = msgspec.structs.replace(settings.scheme, **scheme)
    settings = canonical_replace(settings, scheme=changed)
    return planning.plan(
        settings, seated_round.make_roster(), 1, None, "ab" * 32, None, seated_round.STARTS
    )


def test_a_plan_under_shares_names_its_seats_and_no_key():
    plan = seated()

    assert (plan.arithmetic.scheme, plan.terms.key_record) == (SHARES, None)
    assert plan.terms.seats == SEATS
    assert plan.questions().norm_bound == planning.norm_bound(SEATED)
    assert plans.unpack(plans.pack(plan)) == plan


@pytest.mark.parametrize(
    "scheme",
    [{"unchecked": True}, {"bound_norms": False}, {"leaves_per_chunk": 2}, {"value_bits": 22}],
)
def test_every_setting_of_shares_is_in_the_digest(scheme):
    assert seated(**scheme).digest() != seated().digest()


def test_settings_of_which_no_plan_can_be_made_are_refused_before_anything_is_served():
    """A coordinator that founders in its first round has kept everybody waiting."""
    privacy = msgspec.structs.replace(SEATED.privacy, releases=("participation",))
    planning.check(SEATED, seated_round.make_roster())
    planning.check(SETTINGS, ROSTER)

    with pytest.raises(UnsafeParameters, match="does not list norm-bound"):
        planning.check(canonical_replace(SEATED, privacy=privacy), seated_round.make_roster())


def test_packed_values_share_a_word():
    """A quarter of the bytes, where nothing is asked about them."""
    plan = seated(packed=True, bound_norms=False, value_bits=12, fraction_bits=8)

    assert plan.questions().values_per_word == 4
    assert plan.questions().releases() == ()


def test_scores_that_the_releases_do_not_list_make_no_plan():
    with pytest.raises(UnsafeParameters, match="alignment, squared-norm"):
        seated(score_step_log2=10)


@pytest.mark.parametrize("clip", ["1", "0.3", "20", "7.77", "0.000001"])
@pytest.mark.parametrize("dimension", [1, 2, 4, 5, 16_353, 11_700_000])
def test_the_norm_bound_is_above_every_honest_update_by_one_step_at_most(clip, dimension):
    """Rounding moves a vector of d values by sqrt(d)/2 at most; a bound below it would refuse."""
    getcontext().prec = 60
    settings = canonical_replace(
        seated_round.make_settings(clip=clip), model=config.ModelSettings(dimension, "ab" * 32)
    )

    bound = planning.norm_bound(settings)

    longest = Decimal(clip) * 2**20 + Decimal(dimension).sqrt() / 2
    assert 0 < bound - longest <= 1


def test_a_norm_beyond_what_can_be_asked_is_refused_at_the_start():
    scheme = msgspec.structs.replace(SEATED.scheme, fraction_bits=25, value_bits=40)

    with pytest.raises(UnsafeParameters, match="norm bound"):
        planning.parameters(canonical_replace(SEATED, scheme=scheme))


def test_no_key_is_ordered_under_shares():
    with pytest.raises(IllegalEvent, match="have no key"):
        planning.key_specification(SEATED, seated_round.make_roster())


# -- mechanism distributed ---------------------------------------------------------------


def with_shared_noise(settings, **rounds):
    """Return settings whose sites share the noise; 16 units of 0.0625 are a clip of 1."""
    training = DistributedSum("1", "14.25", "0.0625", 16, 64, honest=2, colluders=1)
    privacy = msgspec.structs.replace(
        settings.privacy, mechanism=Mechanism.DISTRIBUTED, training=training
    )
    terms = {"clip": "1", "auditor": fakes.AUDITOR} | rounds
    changed = msgspec.structs.replace(settings.rounds, **terms)
    scheme = msgspec.structs.replace(
        settings.scheme, bound_norms=False, score_step_log2=None, fraction_bits=16
    )
    return canonical_replace(settings, scheme=scheme, rounds=changed, privacy=privacy)


@pytest.mark.parametrize("settings", [SETTINGS, SEATED], ids=["ckks", "shares"])
def test_a_sum_with_shared_noise_is_planned_as_a_sum(settings):
    """Under both schemes, and never as a mean."""
    noisy = with_shared_noise(settings)
    key, starts = ("cd" * 32, planning.NO_STARTS)
    roster = ROSTER
    if settings is SEATED:
        key, starts, roster = None, seated_round.STARTS, seated_round.make_roster()

    terms = planning.plan(noisy, roster, 1, key, "ab" * 32, None, starts).terms

    assert (terms.aggregation, terms.privacy.mechanism) == ("sum/1", "distributed")
    assert fakes.make_plan().terms.aggregation == "mean/1"


@pytest.mark.parametrize("rounds", [{"cohort_minimum": 2}, {"clip": "2"}, {"auditor": None}])
def test_settings_that_would_hide_less_than_they_say_are_refused_at_the_start(rounds):
    """Two honest sites and a colluder are three; 16 units of 0.0625 have a norm of 1."""
    planning.check(with_shared_noise(SETTINGS), ROSTER)

    with pytest.raises(UnsafeParameters, match=r"cohort minimum 2|clip 2|auditor"):
        planning.check(with_shared_noise(SETTINGS, **rounds), ROSTER)


def test_a_plan_says_how_many_rounds_the_programme_still_wants():
    """This one is among them; what has been released is not."""
    wanted = SETTINGS.rounds.wanted
    start = (SETTINGS, ROSTER, 1, "cd" * 32, "ab" * 32, None)

    assert planning.plan(*start).terms.rounds_left == wanted
    assert planning.plan(*start, released=wanted - 1).terms.rounds_left == 1
