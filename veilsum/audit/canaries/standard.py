"""What `veilsum audit privacy` audits: both mechanisms at one epsilon, under both schemes."""

from collections.abc import Iterable, Iterator

from privacy.accounting import smallest_noise_multiplier
from privacy.distributed_sum import DistributedSum
from privacy.local_training import LocalTraining
from privacy.mechanism import Training
from privacy.plan import CKKS, SHARES, Mechanism

from .setting import Setting

DELTA = 1e-5
ROUNDS = 4
CANARIES = 5000
HELD_OUT = 2500
"""With four rounds, so many that three hundredths of the noise cannot be missing unseen."""

EPSILON = 4.0
"""Of what sums show, over all rounds."""

_OF_CONTROLS = 2000
_STEPS = 2  # of one round, under `local`
_RATE = "0.5"
_HONEST = 2
_COLLUDERS = 1
_UNITS_CAP = 16384


def settings(
    mechanisms: Iterable[Mechanism] = tuple(Mechanism),
    schemes: Iterable[str] = (CKKS, SHARES),
    *,
    epsilon: float = EPSILON,
    canaries: int = CANARIES,
) -> Iterator[Setting]:
    """Yield each mechanism under each scheme, with the least noise that keeps within `epsilon`.

    Raises:
        UnsafeParameters: too few canaries, or an epsilon that no noise reaches.
    """
    schemes = tuple(schemes)
    for mechanism in mechanisms:
        order = _local(epsilon) if mechanism is Mechanism.LOCAL else _distributed(epsilon)
        for scheme in schemes:
            yield Setting(order, scheme, DELTA, ROUNDS, canaries, HELD_OUT)


def for_control(mechanism: Mechanism, *, epsilon: float, canaries: int) -> Setting:
    """Return the setting in which a mechanism's controls run; one scheme each is enough.

    With fewer canaries than what is shipped: what finds a defect among these finds it among more.
    """
    scheme, fewer = CKKS if mechanism is Mechanism.LOCAL else SHARES, min(canaries, _OF_CONTROLS)
    return next(settings((mechanism,), (scheme,), epsilon=epsilon, canaries=fewer))


def _local(epsilon: float) -> Training:
    sigma = smallest_noise_multiplier(_RATE, ROUNDS * _STEPS, DELTA, epsilon)
    return LocalTraining(
        sampling_rate=_RATE,
        noise_multiplier=sigma,
        steps=_STEPS,
        clip="1",
        learning_rate="1",
        divisor=1,
    )


def _distributed(epsilon: float) -> Training:
    return DistributedSum(
        sampling_rate="1",
        noise_multiplier=smallest_noise_multiplier("1", ROUNDS, DELTA, epsilon),
        clip="1",
        units_cap=_UNITS_CAP,
        divisor=1,
        honest=_HONEST,
        colluders=_COLLUDERS,
    )
