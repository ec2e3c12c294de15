"""What a coalition looks at: the sums without its own part, or one site's vector in the clear."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privacy.events import Gaussian, PoissonSampled, SelfComposed
from privacy.mechanism import events_of
from privacy.plan import Mechanism

from .rounds import Observed
from .setting import Setting


@dataclass(frozen=True, slots=True)
class Look:
    """One view of a run.

    Attributes:
        name: of the view.
        claimed: epsilon of all rounds, as budgets count it.
        noise_multiplier: of one step, as the view's event has it.
        included: shape (m,): which canaries are in; the first m coordinates are theirs.
        values: shape (rounds, D), in clips.
        known: shape (rounds, D): noise that the coalition drew itself.
    """

    name: str
    claimed: float
    noise_multiplier: float
    included: NDArray[np.bool_]
    values: NDArray[np.float64]
    known: NDArray[np.float64]


def looks(setting: Setting, observed: Observed) -> tuple[Look, ...]:
    """Return the views whose costs differ: one under `local`, two under `distributed`."""
    sums, vector = setting.claims()
    events = events_of(setting.training)
    if setting.mechanism is Mechanism.LOCAL:
        sigma = _noise_multiplier(events.sums)
        # The others' updates are known, so what is left of the sum is the one site's.
        both = "sums and vector"
        return (Look(both, sums, sigma, observed.included, observed.sums, observed.known),)
    first = _of_first_site(setting, observed)
    held = observed.included.size
    own = np.concatenate([first, np.arange(held, observed.sums.shape[1])])
    return (
        Look(
            "sums",
            sums,
            _noise_multiplier(events.sums),
            observed.included,
            observed.sums,
            observed.known,
        ),
        Look(
            "vector",
            vector,
            _noise_multiplier(events.vector),
            observed.included[first],
            observed.vector[:, own],
            observed.known[:, own],
        ),
    )


def _of_first_site(setting: Setting, observed: Observed) -> NDArray[np.int64]:
    return np.arange(0, observed.included.size, setting.honest)


def _noise_multiplier(event: object) -> float:
    match event:
        case Gaussian():
            return float(event.noise_multiplier)
        case PoissonSampled() | SelfComposed():
            return _noise_multiplier(event.event)
        case _:
            raise AssertionError("events of a training have one Gaussian")  # `events_of` says so
