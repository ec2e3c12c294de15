"""From a sum to the next model's file, chunk by chunk: the same bits, or nothing."""

import numpy as np
import pytest

from participant.model.models import Models
from participant.opening.apply import Application
from participant.opening.frozen import Frozen
from participant.opening.next_model import next_model
from participant.opening.spool import Spooled
from privacy.errors import RootMismatch, StoreUnavailable, SumOffGrid, WrongContext
from tests.participant import signed_round as made
from tests.participant.agent_at_work import next_model as expected

ROUND = made.Round(made.plan(), made.TRAINERS)
FROZEN = Frozen(ROUND.cohort, ROUND.sum)
EXPECTED = expected(ROUND)


@pytest.fixture
def models(tmp_path):
    models = Models(tmp_path / "models")
    models.keep(made.SHAPES, made.FIRST)
    return models


@pytest.fixture
def chunks(tmp_path):
    for index, chunk in enumerate(ROUND.chunks):
        (tmp_path / f"{index:08d}").write_bytes(chunk)
    return Spooled(tmp_path, 2)


def revealer():
    return ROUND.revealer()


def make(models, chunks, plan=ROUND.plan, frozen=FROZEN, opener=None, shapes=made.SHAPES, **more):
    return next_model(plan, frozen, opener or revealer(), chunks, models, shapes, **more)


def only_the_first(models):
    return {path.name for path in models.folder.iterdir()} == {ROUND.plan.terms.model}


def test_it_is_the_model_that_whole_vectors_give(models, chunks):
    """Bit for bit, and under the digest of those bits."""
    digest = make(models, chunks)

    total = sum(made.update(name) for name in made.TRAINERS)
    whole = Application(ROUND.plan, 4).part(made.FIRST, total)
    assert models.path(digest).read_bytes() == whole.astype("<f8").tobytes()
    assert (
        digest == made.model_digest(made.SHAPES, whole) == made.model_digest(made.SHAPES, EXPECTED)
    )


def test_nothing_is_opened_before_every_chunk_was_checked(models, chunks, tmp_path):
    """A sum that was changed on this disk is as bad as one that came so."""
    (tmp_path / "00000001").write_bytes(made.payloads("amber")[1])

    class Untouchable:
        def reveal(self, chunk, total, cohort):
            raise AssertionError("a sum was opened before it was checked")

    with pytest.raises(RootMismatch):
        make(models, chunks, opener=Untouchable())
    assert only_the_first(models)


class Beyond:
    """A revealer of a sum whose last chunk alone is beyond the bound."""

    def reveal(self, chunk, total, cohort):
        values = np.zeros(4096 if chunk == 0 else 904, np.int64)
        values[-1] = 0 if chunk == 0 else 4 * 21 * 2**18
        return values


def test_a_sum_beyond_the_bound_makes_no_model(models, chunks):
    """Known only after its last chunk: until then there is no such file."""
    with pytest.raises(SumOffGrid, match="norm 21"):
        make(models, chunks, opener=Beyond())
    assert only_the_first(models)


class Breaks:
    """A revealer that fails at the second chunk."""

    def reveal(self, chunk, total, cohort):
        if chunk == 1:
            raise SumOffGrid("chunk 1 of the sum")
        return np.zeros(4096, np.int64)


def test_an_opening_that_fails_half_way_leaves_nothing(models, chunks):
    """Neither a model nor a draft."""
    with pytest.raises(SumOffGrid):
        make(models, chunks, opener=Breaks())
    assert only_the_first(models)


def test_a_plan_of_another_size_is_refused(models, chunks):
    """Before anything is opened."""
    arithmetic = made.Arithmetic(
        made.CKKS, made.DIMENSION - 1, 4096, 18, 24, made.ARITHMETIC.ranges
    )

    with pytest.raises(WrongContext, match="4999 values for a model of 5000"):
        make(models, chunks, plan=made.Plan(arithmetic, ROUND.plan.terms), opener=Breaks())


def test_a_model_that_changed_on_the_disk_makes_no_other(models, chunks):
    """One flipped bit would make an opener that agrees with nobody."""
    path = models.path(ROUND.plan.terms.model)
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(bytes(body))

    with pytest.raises(StoreUnavailable, match="delete it"):
        make(models, chunks)
    assert only_the_first(models)


def test_progress_is_said_while_it_goes_on(models, chunks, monkeypatch):
    """A large sum takes minutes to open."""
    monkeypatch.setattr("participant.pace.SAY_EVERY_SECONDS", 0)
    said = []

    make(models, chunks, say=said.append)

    assert [(each.chunks, each.of) for each in said] == [(1, 2), (2, 2)]
