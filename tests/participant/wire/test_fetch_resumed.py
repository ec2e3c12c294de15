"""A sealed model that was on its way when this process died goes on from what is on its disk."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from participant.opening.spool import FOLDER
from participant.wire.coordinator import SealedParts
from participant.wire.fetch import fetch_model
from privacy.errors import MalformedMessage
from privacy.vectors import ModelDigest
from tests.participant import signed_round as made
from tests.participant.shelf import sealed

ENVELOPE, CHUNKS = sealed(made.plan(), made.FIRST)


class Died(Exception):
    """The end of this process."""


class Coordinator:
    """Shows one model; this process dies when so many of its chunks have come."""

    def __init__(self, dies_at=None, chunks=CHUNKS):
        self.asked, self.given, self.dies_at, self.chunks = [], 0, dies_at, chunks

    @asynccontextmanager
    async def model(self, _, from_chunk=0):
        self.asked.append(from_chunk)
        yield SealedParts(made.signed_by(ENVELOPE, "amber"), (), self._given(from_chunk))

    async def _given(self, first):
        for at, chunk in list(enumerate(self.chunks))[first:]:
            if at == self.dies_at:
                raise Died
            self.given += 1
            yield chunk


async def fetch(coordinator, place, digest=None):
    into = digest or ModelDigest(made.SHAPES)
    me, pair = "birch", made.keys("birch").sealing
    return await fetch_model(coordinator, 1, lambda _: ENVELOPE, me, pair, into, None, place)


def kept(place: Path):
    return sorted(path for path in place.rglob("*") if path.is_file())


@pytest.mark.parametrize("cut", range(len(CHUNKS)))
async def test_a_model_goes_on_after_a_restart_at_the_chunk_that_is_missing(tmp_path, cut):
    """Of what was on the disk nothing comes again; the model is that of its envelope."""
    place = tmp_path / FOLDER
    with pytest.raises(Died):
        await fetch(Coordinator(cut), place)
    after, digest = Coordinator(), ModelDigest(made.SHAPES)

    assert await fetch(after, place, digest) == ENVELOPE

    assert after.given == len(CHUNKS) - cut
    assert after.asked == ([0, cut] if cut else [0])
    assert digest.hexdigest() == ENVELOPE.model


async def test_a_model_that_had_all_come_is_not_fetched_again(tmp_path):
    """The process died before it had kept the model: its envelope is asked for, no chunk."""
    place = tmp_path / FOLDER
    await fetch(Coordinator(), place)
    after = Coordinator()

    await fetch(after, place)

    assert after.given == 0


@pytest.mark.parametrize("damaged", range(len(CHUNKS)))
async def test_a_chunk_that_the_disk_has_changed_is_fetched_again(tmp_path, damaged):
    """And those behind it; what opens is what was sealed."""
    place = tmp_path / FOLDER
    await fetch(Coordinator(), place)
    path = kept(place)[damaged]
    path.write_bytes(b"x" + path.read_bytes()[1:])
    after, digest = Coordinator(), ModelDigest(made.SHAPES)

    await fetch(after, place, digest)

    assert after.given == len(CHUNKS) - damaged
    assert digest.hexdigest() == ENVELOPE.model


async def test_what_does_not_open_is_not_kept(tmp_path):
    """A coordinator that sends something else has given nothing."""
    place = tmp_path / FOLDER
    with pytest.raises(MalformedMessage):
        await fetch(Coordinator(chunks=[CHUNKS[0], CHUNKS[0]]), place)

    assert len(kept(place)) == 1
    await fetch(after := Coordinator(), place)
    assert after.given == len(CHUNKS) - 1


async def test_what_is_on_the_disk_is_sealed(tmp_path):
    """Byte for byte as it came: nothing of a model lies there in the clear."""
    place = tmp_path / FOLDER
    await fetch(Coordinator(), place)

    assert [path.read_bytes() for path in kept(place)] == list(CHUNKS)
