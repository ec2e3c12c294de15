"""The demo's workshop: under shares it notes an update before it is split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from participant.pace import Say, say_nothing
from participant.sending.share import Shared
from participant.training.workshop import Workshop
from privacy import plan as plans
from privacy.plan import Plan
from privacy.schemes.base import Integers
from privacy.schemes.shares.sharing import UpdateSecrets


@dataclass
class WitnessedWorkshop(Workshop):
    """A workshop as any other; `note` is told each update in shares. It changes nothing."""

    note: Callable[[Plan, Integers], None] = lambda plan, values: None  # noqa: ARG005

    def share(
        self,
        packed_plan: bytes,
        participant: str,
        secrets: UpdateSecrets,
        folder: Path,
        say: Say = say_nothing,
    ) -> Shared:
        """Note the update, then split it."""
        if self._integers is not None:
            self.note(plans.unpack(packed_plan), self._integers)
        return super().share(packed_plan, participant, secrets, folder, say)
