"""A workshop without data: its first model is zeros, its update comes from a public key."""

import os
from pathlib import Path
from typing import cast

from participant.model.models import Models
from participant.site import Site
from participant.training.workshop import Workshop
from privacy.identifiers import Digest
from privacy.vectors import Shapes

from .untrained import Untrained, zeros


class UntrainedWorkshop(Workshop):
    """Makes keys, clips, protects and opens as any workshop does; trains nothing."""

    def __init__(self, untrained: Untrained) -> None:
        # No method that is left to the superclass asks the site anything.
        super().__init__(cast(Site, None), os.urandom)
        self._untrained = untrained

    def shapes(self) -> Shapes:
        """Return one tensor of the whole dimension."""
        return self._untrained.shapes

    def require_records(self, records: int, records_per_unit: int) -> None:
        """Return: there are no records."""

    def first_model(self, text: str, models: Path) -> Digest:  # noqa: ARG002
        """Keep zeros, and return their digest."""
        with Models(models).writer(self.shapes()) as writer:
            for part in zeros(self._untrained.dimension):
                writer.update(part)
            return writer.keep()

    def train(self, packed_plan: bytes, models: Path) -> None:  # noqa: ARG002
        """Take the update from its key instead."""
        self._update = self._untrained.update()
