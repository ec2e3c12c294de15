"""The demo's own witness: it notes what a site protects, and what an opener opens.

This is how the demo can say that a sum is exact. It lives here and nowhere else:
nothing in `participant` can write an update in the clear, and no setting can
make it. A site of the demo is a site whose worker process runs this file's.
"""

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from participant.training.worker import serve_workshop
from privacy.plan import Plan
from privacy.schemes.base import Integers, Protector, Revealer

if TYPE_CHECKING:
    from participant.training.workshop import Workshop

FOLDER = "VEILSUM_DEMO_WITNESS"
"""Names the folder; only this file reads it, and only the demo's own processes run this file."""


@dataclass
class WitnessedProtector:
    """A protector that notes the grid integers before they are protected."""

    inner: Protector
    place: Path

    def protect(self, chunk: int, values: Integers) -> bytes:
        """Note one chunk, then protect it."""
        _note(self.place, "update", chunk, values)
        return self.inner.protect(chunk, values)


@dataclass
class WitnessedRevealer:
    """A revealer that notes the sum it opened."""

    inner: Revealer
    place: Path

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:
        """Open one chunk, then note it."""
        opened = self.inner.reveal(chunk, total, cohort)
        _note(self.place, "sum", chunk, opened)
        return opened


def serve(connection: Connection, site_name: str) -> None:
    """Run a worker process as `training.worker.serve` does, with the witness in it."""
    folder = Path(os.environ[FOLDER])

    def make() -> "Workshop":
        # The agent's process imports this file too, and needs none of what the worker needs.
        from participant.sending.protect import ckks_protector  # noqa: PLC0415
        from participant.site import load_site  # noqa: PLC0415
        from participant.training.workshop import ckks_revealer, shares_revealer  # noqa: PLC0415

        from .witnessed_workshop import WitnessedWorkshop  # noqa: PLC0415

        return WitnessedWorkshop(
            load_site(site_name),
            os.urandom,
            protector=lambda plan, key, mask: WitnessedProtector(
                ckks_protector(plan, key, mask), _place(folder, plan)
            ),
            revealer=lambda plan, secret, masks: WitnessedRevealer(
                ckks_revealer(plan, secret, masks), _place(folder, plan)
            ),
            shares_revealer=lambda plan: WitnessedRevealer(
                shares_revealer(plan), _place(folder, plan)
            ),
            note=lambda plan, values: note_update(_place(folder, plan), plan, values),
        )

    serve_workshop(connection, make)


def note_update(place: Path, plan: Plan, values: Integers) -> None:
    """Note a whole update, as `WitnessedProtector` does chunk by chunk."""
    geometry = plan.geometry()
    for chunk in range(geometry.chunks):
        _note(place, "update", chunk, values[geometry.span(chunk)])


def noted(folder: Path, number: int, kind: str) -> Integers | None:
    """Return what a site's witness noted in a round, "update" or "sum"; None if nothing."""
    paths = sorted((folder / str(number)).glob(f"{kind}-*.npy"))
    return np.concatenate([np.load(path) for path in paths]) if paths else None


def _place(folder: Path, plan: Plan) -> Path:
    place = folder / str(plan.terms.round)
    # Updates in the clear, of made-up people: nobody else reads them all the same.
    for each in (folder.parent, folder, place):
        each.mkdir(mode=0o700, exist_ok=True)
    return place


def _note(place: Path, kind: str, chunk: int, values: Integers) -> None:
    np.save(place / f"{kind}-{chunk:04d}.npy", values)
