"""An update is split where it was made: what is written opens nothing, and adds up to it."""

import os

import numpy as np
import pytest

from participant.sending.share import seal_parts, share, squared_norm, update_context
from privacy.errors import StoreUnavailable, UpdateOutOfRange
from privacy.merkle import tree_root
from privacy.schemes.shares.layout import held_by
from privacy.schemes.shares.payload import payload_root
from privacy.schemes.shares.sharing import UpdateSecrets, open_as_seat
from tests.participant import shared_round as made
from tests.participant import signed_round

PLAN = made.plan()


def secrets():
    return UpdateSecrets.generate(os.urandom)


def written(folder):
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_the_piece_says_what_is_on_disk(tmp_path):
    """Number, length and root, for a coordinator that can open none of it."""
    piece = share(PLAN, "amber", secrets(), signed_round.update("amber"), tmp_path).piece

    chunks = written(tmp_path)
    roots = [payload_root(at, chunk) for at, chunk in enumerate(chunks)]
    assert (piece.recipient, piece.scheme) == ("seats", "shares/1")
    assert piece.chunks == len(chunks) == PLAN.arithmetic.chunks
    assert piece.length == sum(map(len, chunks))
    assert piece.root == tree_root(roots).hex()


def test_seats_find_the_roots_that_the_site_signs(tmp_path):
    """From what it has sealed to each, and the chunks: each component at both its holders."""
    drawn = secrets()
    shared = share(PLAN, "amber", drawn, signed_round.update("amber"), tmp_path)
    seals = seal_parts(PLAN, made.roster(), "amber", drawn, shared.declared_third)
    sent = made.Sent(drawn, None, seals, tuple(written(tmp_path)))

    found = [made.held(PLAN, seat, "amber", sent) for seat in range(3)]

    for seat, held in enumerate(found):
        pairs = [held.roots(at, each if seat else None) for at, each in enumerate(sent.payloads)]
        for component, roots in zip(held_by(seat), zip(*pairs, strict=True), strict=True):
            assert tree_root(roots).hex() == shared.roots[component]


def test_every_try_writes_other_bytes(tmp_path):
    """Two tries under one set of secrets would differ by what two updates differ."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        share(PLAN, "amber", secrets(), signed_round.update("amber"), tmp_path / name)

    assert not set(written(tmp_path / "one")) & set(written(tmp_path / "two"))


def test_nothing_that_is_written_holds_the_update(tmp_path):
    """Not a word of it in the clear, at its place or another."""
    values = np.full(signed_round.DIMENSION, 0x123456, np.int64)

    share(PLAN, "amber", secrets(), values, tmp_path)

    assert not any(values[:1].tobytes() in each for each in written(tmp_path))


@pytest.mark.parametrize("of", [PLAN, made.scored_plan()], ids=["unasked", "asked"])
def test_a_squared_norm_is_declared_where_the_plan_asks_for_it(tmp_path, of):
    """The shares of three seats add up to it, and otherwise to nothing at all."""
    drawn, update = secrets(), signed_round.update("birch")
    shared = share(of, "birch", drawn, update, tmp_path)
    context = update_context(of, "birch")
    seals = seal_parts(of, made.roster(), "birch", drawn, shared.declared_third)

    shares = [
        open_as_seat(signed_round.keys(name).sealing, context, seat, seals[seat]).declared_share(
            context
        )
        for seat, name in enumerate(made.SEATS)
    ]

    asked = of.questions().score_step_log2 is not None
    assert sum(shares) % 2**64 == (int(np.sum(update**2)) if asked else 0)
    assert len(set(shares)) == 3


@pytest.mark.parametrize("bits", [8, 24, 40])
def test_a_squared_norm_is_exact_up_to_the_largest_grid(bits):
    """Where the square of a value, let alone their sum, is no 64-bit number any more."""
    largest = 2 ** (bits - 1) - 1
    values = np.random.default_rng(bits).integers(-largest, largest, 4000, endpoint=True)
    values[:3] = largest, -largest, 0

    assert squared_norm(values) == sum(int(value) ** 2 for value in values)


def test_a_value_beyond_the_grid_is_refused(tmp_path):
    """It could wrap the sum of everybody."""
    values = signed_round.update("amber").copy()
    values[-1] = 2**23

    with pytest.raises(UpdateOutOfRange):
        share(PLAN, "amber", secrets(), values, tmp_path)


def test_a_disk_that_refuses_is_said_so(tmp_path):
    with pytest.raises(StoreUnavailable):
        share(PLAN, "amber", secrets(), signed_round.update("amber"), tmp_path / "none")


def test_progress_is_said_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("participant.pace.SAY_EVERY_SECONDS", 0.0)
    said = []

    share(PLAN, "amber", secrets(), signed_round.update("amber"), tmp_path, said.append)

    assert [each.chunks for each in said] == [1, 2, 3]
