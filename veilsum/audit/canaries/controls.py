"""The negative controls: defects put in on purpose, each of which the audit must call violated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from privacy.plan import Mechanism

from . import weakened
from .contribution import Contribute


@dataclass(frozen=True, slots=True)
class Control:
    """A defect, and the mechanisms in which there can be one like it."""

    name: str
    make: Contribute
    mechanisms: tuple[Mechanism, ...]


_BOTH = (Mechanism.LOCAL, Mechanism.DISTRIBUTED)

CONTROLS = (
    Control("half of the noise", weakened.halved_noise(), _BOTH),
    Control("clipped at three times the bound", weakened.not_clipped(), _BOTH),
    Control("one seed for all sites", weakened.one_seed(), _BOTH),
    Control(
        "a part of the noise for too many sites",
        weakened.share_for_too_many(),
        (Mechanism.DISTRIBUTED,),
    ),
    Control("shuffled batches", weakened.shuffled(), (Mechanism.LOCAL,)),
    Control("batches of a fixed size", weakened.of_fixed_size(), (Mechanism.LOCAL,)),
    Control("a record without numbers", weakened.not_a_number_let_through(), _BOTH),
)


def controls_of(mechanism: Mechanism) -> Iterator[Control]:
    """Yield the controls for a mechanism."""
    return (control for control in CONTROLS if mechanism in control.mechanisms)
