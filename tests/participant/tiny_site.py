"""A site of forty patients and 5,000 weights, and worker processes that misbehave."""

import hashlib
import os
from multiprocessing.connection import Connection
from types import SimpleNamespace

import numpy as np

from participant.pace import Progress
from participant.training.worker import serve_workshop
from privacy.errors import UpdateOutOfRange


class TinySite:
    """Forty patients, drawn from a hash."""

    def model(self):
        from torch import nn  # noqa: PLC0415 - spawned workers that need no torch load this file

        return nn.Linear(4999, 1)

    def records(self):
        import torch  # noqa: PLC0415 - spawned workers that need no torch load this file

        draws = np.frombuffer(hashlib.shake_256(b"patients").digest(40 * 4999), np.int8)
        features = torch.from_numpy(draws.astype(np.float32) / 128).reshape(40, 4999)
        return [(features[at : at + 1], torch.full((1, 1), at % 2 * 1.0)) for at in range(40)]

    def loss(self, output, target):
        from torch.nn.functional import binary_cross_entropy_with_logits  # noqa: PLC0415 - spawned workers that need no torch load this file

        return binary_cross_entropy_with_logits(output, target, reduction="none").squeeze(1)


def misbehave(connection: Connection, site: str) -> None:
    """Serve a workshop whose every verb goes wrong in its own way."""
    serve_workshop(connection, lambda: SimpleNamespace(**BROKEN))


def pooling(connection: Connection, site: str) -> None:
    """Serve a workshop that has an update, and encrypts it in two processes, however short."""

    def make():
        from participant.sending import protect  # noqa: PLC0415 - as `serve` does
        from participant.training import workshop  # noqa: PLC0415 - as `serve` does

        protect.POOL_FROM_VALUES, protect.os.sched_getaffinity = 0, lambda pid: {0, 1}
        return workshop.Workshop(None, os.urandom, _integers=np.arange(5000))

    serve_workshop(connection, make)


def holding(connection: Connection, site: str) -> None:
    """Serve a workshop that has an update, and the first model of its federation."""

    def make():
        from participant.training import workshop  # noqa: PLC0415 - as `serve` does
        from tests.participant import signed_round  # noqa: PLC0415

        made = workshop.Workshop(None, os.urandom, _integers=np.arange(5000))
        made.shapes = lambda: signed_round.SHAPES
        return made

    serve_workshop(connection, make)


def _not_finite(*_):
    raise UpdateOutOfRange("3 of 5000 values are not finite")


def _library(*_):
    raise RuntimeError("patient 4711 has a tumour of 3 cm")


def _die(*_):
    os._exit(1)


def _once(plan, public_key, mask, folder, say):
    if not folder.exists():
        folder.write_text("died once")
        os._exit(1)
    raise UpdateOutOfRange("the second worker answers")


def _reveal(plan, frozen, secret, masks, chunks, models, say):
    for chunk in range(1, 4):
        say(Progress(chunk, 4, 12.5, 1.0))
    return hashlib.sha256(f"{chunks} {models} {frozen.sum.root}".encode()).hexdigest()


BROKEN = {
    "train": _not_finite,
    "privatise": _library,
    "check_key": _die,
    "protect": _once,
    "require_records": lambda records, records_per_unit: None,
    "shapes": lambda: (("weight", (2,)),),
    "first_model": lambda text, models: "1" * 64,
    "reveal": _reveal,
}
