"""The numbers of a site's local DP-SGD, agreed in the plan: public, exact, and the same everywhere.

No number here may be derived from a site's data, not even from how many patients it has:
a batch size or divisor computed from it would tell it (Opacus issue #571).
"""

from fractions import Fraction

import msgspec

from .errors import MalformedMessage, UnsafeParameters
from .events import DecimalText, Gaussian, PoissonSampled, SelfComposed, exact

LARGEST_COUNT = 1_000_000
"""Upper limit of steps and divisor; beyond it a plan is a mistake."""

_LARGEST_DENOMINATOR = 1 << 40


class LocalTraining(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="local"
):
    """One round of DP-SGD at one site; equal values cost equal privacy.

    Attributes:
        sampling_rate: chance that a unit of privacy is in a batch, each by itself (q in
            Mironov et al. 2019); a decimal above 0, at most 1.
        noise_multiplier: noise's standard deviation over `clip` (sigma there); above 0.
        steps: noisy steps taken, empty batches included.
        clip: L2 bound on one unit's gradient (C in Abadi et al. 2016); above 0.
        learning_rate: size of a step; above 0.
        divisor: what the noisy sum of a batch is divided by; never a count of real records.

    Raises:
        UnsafeParameters: a number is out of its range or not written in its one form.
    """

    sampling_rate: DecimalText
    noise_multiplier: DecimalText
    steps: int
    clip: DecimalText
    learning_rate: DecimalText
    divisor: int

    def __post_init__(self) -> None:
        for name in ("sampling_rate", "noise_multiplier", "clip", "learning_rate"):
            require_positive_decimal(name, getattr(self, name))
        for name in ("steps", "divisor"):
            require_positive_count(name, getattr(self, name))
        # The events know which rates and multipliers an accountant takes.
        event_of(self)
        require_rate(self.rate)

    @property
    def rate(self) -> Fraction:
        """The sampling rate, exactly."""
        return exact(self.sampling_rate)


def event_of(order: LocalTraining) -> SelfComposed:
    """Return what the order does to privacy.

    Raises:
        UnsafeParameters: a number that no accountant takes.

    Source: Abadi et al. (2016), algorithm 1, with Poisson sampling and a fixed divisor.
    """
    step = PoissonSampled(order.sampling_rate, Gaussian(order.noise_multiplier))
    return SelfComposed(order.steps, step)


def require_rate(rate: Fraction) -> None:
    """Return if units can be sampled at exactly this rate.

    Raises:
        UnsafeParameters: the rate is not above 0 and at most 1, or its denominator is above 2^40.
    """
    if not 0 < rate <= 1 or rate.denominator > _LARGEST_DENOMINATOR:
        raise UnsafeParameters(
            f"sampling rate {rate} is not a usable fraction in (0, 1]: its denominator may be at "
            f"most {_LARGEST_DENOMINATOR}; plan one of fewer decimals"
        )


def require_positive_decimal(name: str, text: str) -> None:
    """Return if `text` is a decimal above 0.

    Raises:
        UnsafeParameters: it is not; `name` says of what.
    """
    try:
        positive = exact(text) > 0
    except MalformedMessage:
        positive = False
    if not positive:
        raise UnsafeParameters(f"{name} {str(text)[:40]!r} is not a positive decimal such as '0.5'")


def require_positive_count(name: str, count: int) -> None:
    """Return if `count` is a whole number that a plan may have.

    Raises:
        UnsafeParameters: it is not; `name` says of what.
    """
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= LARGEST_COUNT:
        raise UnsafeParameters(f"{name} {count!r} is not a whole number from 1 to {LARGEST_COUNT}")
