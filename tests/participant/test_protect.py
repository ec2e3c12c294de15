"""An update leaves for the outbox only as protected chunks, each checked as the door will."""

import numpy as np
import pytest

from participant.protect import protect
from privacy.errors import MalformedMessage, UpdateOutOfRange
from privacy.schemes.ckks import CkksProtector
from tests.participant import signed_round as made

PLAN = made.plan()


def protector():
    return CkksProtector(made.PARAMETERS, made.DIMENSION, made.cohort_key().public)


def test_the_piece_says_what_is_on_disk(tmp_path):
    """Number, length and root, for the coordinator."""
    piece = protect(PLAN, protector(), made.update("amber"), tmp_path)

    chunks = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert (piece.recipient, piece.scheme, piece.chunks) == ("coordinator", "ckks/1", 2)
    assert (piece.root, piece.length) == (made.root_of(chunks), sum(map(len, chunks)))


def test_the_same_update_is_never_the_same_bytes(tmp_path):
    """Otherwise two rounds could be compared."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        protect(PLAN, protector(), made.update("amber"), folder)

    assert (one / "00000000").read_bytes() != (two / "00000000").read_bytes()


@pytest.mark.parametrize("value", [2**23, -(2**23), np.iinfo(np.int64).min])
def test_a_value_beyond_the_grid_is_refused(tmp_path, value):
    """Also in the last chunk."""
    update = made.update("amber")
    update[-1] = value

    with pytest.raises(UpdateOutOfRange):
        protect(PLAN, protector(), update, tmp_path)


def test_what_the_door_would_refuse_is_not_committed(tmp_path):
    """A protector that writes something else is found before its root is signed."""

    class Plain:
        def protect(self, chunk, values):
            return values.tobytes()

    with pytest.raises(MalformedMessage):
        protect(PLAN, Plain(), made.update("amber"), tmp_path)
    assert list(tmp_path.iterdir()) == []
