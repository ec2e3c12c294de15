"""A site killed while it sends, and a coordinator killed at every step: nothing is lost.

One federation, two rounds. In the first, named failpoints end the coordinator; in
the second it dies at every single save of a round's state.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coordinator.adapters.objects.files import open_objects
from coordinator.object_names import contribution_chunk
from privacy.initial import initial_vector
from privacy.records import Release
from privacy.vectors import model_digest
from tests.processes.federation import CHUNKS, MODEL, SHAPES, Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
# Two sites send three chunks each, the third one; the eighth is the first after its death.
# Long enough for a site to come back in each of the coordinator's lives: a turn that passes
# is a save too, and a coordinator that dies of every save would do nothing else.
PATIENT = {"progress_seconds": "15", "abandon_seconds": "60"}
FIRST_CHUNK_AFTER_RESUMING = 2 * CHUNKS + 2


@dataclass
class Story:
    """What was seen on the way."""

    federation: Federation
    offset: int = 0
    offset_after_crash: int = 0
    outbox: dict[str, bytes] = field(default_factory=dict)
    received: dict[str, bytes] = field(default_factory=dict)
    lives: int = 0


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("crashes")
    with federation(folder, SITES, wanted=2, quorum=3, deadline=PATIENT) as made:
        seen = Story(made)
        _kill_the_sender(made, seen)
        _kill_the_coordinator(made, seen)
        _kill_it_at_every_save(made, seen)
        made.run_to_the_end()
        yield seen


def _kill_the_sender(made: Federation, seen: Story) -> None:
    made.start_coordinator(f"accept.after_chunk:{FIRST_CHUNK_AFTER_RESUMING}=kill")
    made.start_site("site-a")
    made.start_site("site-b")
    made.start_site("site-c", "send.after_chunk:1=pause")
    made.wait_for_committed(1, "site-a", "site-b")
    made.wait_for("a durable chunk", lambda: made.observer.durable_chunks(1, "site-c") > 0)
    seen.offset = made.observer.durable_chunks(1, "site-c")
    made.kill("site-c")
    seen.outbox = _outbox(made.places.site("site-c"))
    made.start_site("site-c")


def _kill_the_coordinator(made: Federation, seen: Story) -> None:
    made.wait_for_death("coordinator")
    seen.offset_after_crash = made.observer.durable_chunks(1, "site-c")
    made.start_coordinator("effect.before_aggregate:1=kill")
    made.wait_for_death("coordinator")
    seen.received = _received(made, "site-c")
    made.start_coordinator("effect.after_aggregate:1=kill")
    made.wait_for_death("coordinator")


def _kill_it_at_every_save(made: Federation, seen: Story) -> None:
    while made.observer.released() < 2:
        made.start_coordinator("service.after_save:1=kill")
        made.wait_for("a save or the end", lambda: _has_died(made) or made.observer.released() == 2)
        seen.lives += _has_died(made)
        made.kill("coordinator")


def _has_died(made: Federation) -> bool:
    return made.family.running["coordinator"].poll() == -signal.SIGKILL


def test_an_upload_goes_on_where_it_was_cut(story: Story) -> None:
    """First the sender dies with one chunk durable, then the coordinator with one more."""
    log = story.federation.log("site-c", "contribution_sent")
    whole = story.federation.log("site-a", "contribution_sent")[0]

    assert story.offset == 1
    assert story.offset_after_crash == 2
    assert log[0]["round"] == 1
    assert int(log[0]["bytes"]) < int(whole["bytes"]) / 2


def test_what_arrives_in_pieces_is_what_was_signed_once(story: Story) -> None:
    """The bytes of the outbox at the sender's death; nothing is trained or noised again."""
    assert len(story.received) == CHUNKS
    assert story.received == story.outbox


def test_a_contribution_counts_and_costs_once(story: Story) -> None:
    """Whoever died, whenever. Only the last row, of the receipt, may die with the coordinator."""
    made = story.federation
    for number in (1, 2):
        assert made.cohort(number) == SITES
        for name in SITES:
            spending = made.spending(name, number)
            assert spending in (["COMMIT"], ["COMMIT", "SENT"])
    for name in SITES:
        assert made.reserved(name) == [2]


def test_every_sum_is_exact(story: Story) -> None:
    """A fold that died and began again adds nothing twice."""
    assert story.federation.difference(1) == {0}
    assert story.federation.difference(2) == {0}


def test_releases_are_one_chain(story: Story) -> None:
    """Each starts from the model of the one before, and every site holds the last."""
    made = story.federation
    first, second = (
        made.document("release", made.observer.rounds()[number].release, Release)
        for number in (1, 2)
    )
    newest = {made.newest_release(name) for name in SITES}

    assert first.previous == model_digest(SHAPES, initial_vector(SHAPES, MODEL))
    assert second.previous == first.model
    assert newest == {(2, made.observer.rounds()[2].release, second.model)}


def test_a_coordinator_that_dies_at_every_save_still_finishes(story: Story) -> None:
    """One step in each life is enough, since state and effects are saved together."""
    assert story.lives >= 8
    assert story.federation.observer.store.pending_effects() == []


def _outbox(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.glob("outbox/000001/chunks/*")}


def _received(made: Federation, name: str) -> dict[str, bytes]:
    objects = open_objects(made.places.coordinator / "objects")
    return {
        f"{chunk:08d}": objects.get(contribution_chunk(1, name, 0, chunk))
        for chunk in range(CHUNKS)
    }
