"""A model is there whole, under the digest of what it is, or it is not there."""

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from participant.model.models import CHUNK_VALUES, Models, sweep_dead_drafts
from privacy.errors import MalformedMessage, StoreUnavailable, UpdateOutOfRange
from privacy.vectors import model_digest

SIZE = 2 * CHUNK_VALUES + 5
SHAPES = (("weight", (SIZE,)),)
VECTOR = np.sin(np.arange(float(SIZE)))
DIGEST = model_digest(SHAPES, VECTOR)


@pytest.fixture
def models(tmp_path):
    return Models(tmp_path / "state" / "models")


def names(models):
    return {path.name for path in models.folder.iterdir()}


def test_a_model_is_kept_bit_for_bit_under_its_digest(models):
    """Negative zero and the smallest number too, little-endian, and nothing beside them."""
    vector = VECTOR.copy()
    vector[:4] = -0.0, 5e-324, 1 / 3, -1e308

    digest = models.keep(SHAPES, vector)

    assert digest == model_digest(SHAPES, vector)
    assert models.vector(digest).tobytes() == vector.tobytes()
    assert models.path(digest).read_bytes() == vector.astype("<f8").tobytes()
    assert (models.holds(digest), models.size(digest)) == (True, SIZE)
    assert names(models) == {digest}


def test_a_model_that_is_not_there_is_none(models):
    """Whoever needs it waits, or fetches it."""
    assert not models.holds(DIGEST)
    assert models.size(DIGEST) is None
    assert models.vector(DIGEST) is None
    with pytest.raises(StoreUnavailable, match="No such file"):
        list(models.chunks(DIGEST))


@pytest.mark.parametrize("values", [1000, CHUNK_VALUES, SIZE, SIZE + 1])
def test_a_model_is_read_in_parts_of_any_size(models, values):
    """In order, the last one shorter."""
    models.keep(SHAPES, VECTOR)

    parts = list(models.chunks(DIGEST, values))

    assert np.concatenate(parts).tobytes() == VECTOR.tobytes()
    assert {part.size for part in parts[:-1]} <= {values}
    assert len(parts) == -(-SIZE // values)


@pytest.mark.parametrize("parts", [1, 3, 1000])
def test_a_model_is_written_in_parts_of_any_size(models, parts):
    """The digest is that of the whole, and nobody finds it before it is kept."""
    with models.writer(SHAPES) as writer:
        for part in np.array_split(VECTOR, parts):
            writer.update(part)
            assert not models.holds(DIGEST)
        assert writer.keep() == DIGEST

    assert models.vector(DIGEST).tobytes() == VECTOR.tobytes()


def test_a_model_that_is_given_up_leaves_nothing(models):
    """An error while it is made: no file, and no draft of one."""
    with pytest.raises(UpdateOutOfRange), models.writer(SHAPES) as writer:
        writer.update(np.append(VECTOR[:1000], np.nan))
    with models.writer(SHAPES) as writer:
        writer.update(VECTOR)

    assert names(models) == set()


def test_half_a_model_is_not_kept(models):
    """It has no digest, so it has no name."""
    with models.writer(SHAPES) as writer:
        writer.update(VECTOR[:-1])
        with pytest.raises(MalformedMessage):
            writer.keep()

    assert names(models) == set()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_is_not_finite_is_not_kept(models, value):
    """It would be in every site's training."""
    vector = VECTOR.copy()
    vector[-1] = value

    with pytest.raises(UpdateOutOfRange):
        models.keep(SHAPES, vector)
    assert names(models) == set()


@pytest.mark.parametrize("place", ["fsync", "fdopen"])
def test_a_disk_that_refuses_is_nobodys_fault_yet(models, monkeypatch, place):
    """Retried with back-off; the model is not half there."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"veilsum.files.os.{place}", full)

    with pytest.raises(StoreUnavailable, match="No space"):
        models.keep(SHAPES, VECTOR)
    assert not models.holds(DIGEST)


def test_a_disk_that_is_full_in_the_middle_leaves_nothing(models):
    """The kernel refuses: a file may grow to 100,000 bytes and no further."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StoreUnavailable, match="limit on the size of a file"):
            models.keep(SHAPES, VECTOR)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert names(models) == set()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.participant.model.test_models import SHAPES, VECTOR, Models
with Models(Path(sys.argv[1])).writer(SHAPES) as writer:
    writer.update(VECTOR[:100_000])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_kill_leaves_is_no_model_and_is_swept_away(models):
    """By the agent, at its start, when nobody writes."""
    command = [sys.executable, "-c", KILLED, str(models.folder)]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    models.keep(SHAPES, VECTOR)
    assert done.returncode == -signal.SIGKILL
    assert len(names(models)) == 2

    models.sweep()

    assert names(models) == {DIGEST}


def test_two_models_are_written_side_by_side(models):
    """One does not get into the other."""
    with models.writer(SHAPES) as one, models.writer(SHAPES) as two:
        one.update(VECTOR)
        two.update(VECTOR + 1)
        digests = {one.keep(), two.keep()}

    assert names(models) == digests == {DIGEST, model_digest(SHAPES, VECTOR + 1)}


def test_nobody_else_reads_a_model(models):
    """Models are for trainers only."""
    before = os.umask(0)
    try:
        models.keep(SHAPES, VECTOR)
    finally:
        os.umask(before)

    for path in (models.folder, *models.folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_models_that_nothing_needs_are_deleted(models):
    """All but those named; one that is not there is no matter."""
    kept = models.keep(SHAPES, VECTOR)
    models.keep(SHAPES, VECTOR + 1)

    models.forget_all_but({kept, "f" * 64})

    assert names(models) == {kept}


def test_what_is_no_model_is_not_deleted(models):
    """A draft that is being written, an operator's copy, a folder."""
    for name in (".7-0.draft", "f" * 63, "F" * 64, "f" * 64 + ".bak"):
        (models.folder / name).touch()
    (models.folder / ("a" * 64)).mkdir()
    (models.folder / ("b" * 64)).touch()
    before = names(models)

    models.forget_all_but(())

    assert names(models) == before - {"b" * 64}


def test_drafts_of_dead_processes_are_swept_away_while_this_one_writes(models):
    """A worker that died half-way must not fill the disk, try after try."""
    command = [sys.executable, "-c", KILLED, str(models.folder)]
    subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    with models.writer(SHAPES) as writer:
        writer.update(VECTOR[:100])
        assert len(names(models)) == 2

        sweep_dead_drafts(models.folder)

        assert len(names(models)) == 1
        writer.update(VECTOR[100:])
        assert writer.keep() == DIGEST
    assert names(models) == {DIGEST}
