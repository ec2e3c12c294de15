"""The public numbers of local DP-SGD."""

from fractions import Fraction

import msgspec
import pytest

from privacy import canonical
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.events import to_json
from privacy.local_training import LocalTraining, event_of

GOOD = {
    "sampling_rate": "0.5",
    "noise_multiplier": "2.75",
    "steps": 6,
    "clip": "1",
    "learning_rate": "0.3",
    "divisor": 50,
}


def test_the_event_is_what_the_order_does():
    """An accountant sees the event only; a step or a rate lost here is lost for good."""
    order = LocalTraining(**GOOD)

    event = to_json(event_of(order))

    assert event == {
        "class": "SelfComposed",
        "count": 6,
        "event": {
            "class": "PoissonSampled",
            "q": "0.5",
            "event": {"class": "Gaussian", "noise_multiplier": "2.75"},
        },
    }


def test_the_rate_is_exact():
    """0.1 is a tenth, which no float64 is."""
    assert LocalTraining(**{**GOOD, "sampling_rate": "0.1"}).rate == Fraction(1, 10)


@pytest.mark.parametrize("rate", ["0.3333333333333", "0.0000000000001", "0.1234567890123"])
def test_a_rate_that_no_site_can_sample_at_is_not_planned(rate):
    """A site would find out when it has set its budget aside."""
    with pytest.raises(UnsafeParameters, match=r"sampling rate .* plan one of fewer decimals"):
        LocalTraining(**{**GOOD, "sampling_rate": rate})


@pytest.mark.parametrize("rate", ["1", "0.25", "0.123456789012", "0.0000000000009765625"])
def test_a_rate_of_a_denominator_up_to_2_to_the_40_is_planned(rate):
    """Twelve decimals and more of halves: the refusal is of nothing that is needed."""
    assert LocalTraining(**{**GOOD, "sampling_rate": rate}).rate.denominator <= 1 << 40


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("sampling_rate", bad) for bad in ("0", "1.1", "-0.5", "nan", "1e-3", "0.50", ".5", "")),
        *(("noise_multiplier", bad) for bad in ("0", "inf", "-1", "+1", "1\n", "٣")),
        *(("clip", bad) for bad in ("0", "1/2", " 1")),
        *(("learning_rate", bad) for bad in ("0", "01")),
        *(("steps", bad) for bad in (0, -1, 1_000_001, True, 2.0)),
        *(("divisor", bad) for bad in (0, -1, 1_000_001, True, 2.5)),
    ],
)
def test_an_unsafe_number_cannot_be_ordered(field, value):
    """No order without noise, without a bound, or with a number that two programs read apart."""
    with pytest.raises(UnsafeParameters):
        LocalTraining(**{**GOOD, field: value})


def test_it_travels_in_canonical_form():
    """It is a part of the plan, which is signed."""
    order = LocalTraining(**GOOD)

    again = canonical.decode(canonical.encode(order), LocalTraining)

    assert again == order


def test_an_unknown_field_is_refused():
    """A switch that this version does not know may be one that it must obey."""
    body = msgspec.json.encode({**GOOD, "secure": False}, order="sorted")

    with pytest.raises(MalformedMessage):
        canonical.decode(body, LocalTraining)
