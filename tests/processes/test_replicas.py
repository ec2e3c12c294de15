"""Two coordinators over one PostgreSQL: one is killed, one is stopped, one is told to go.

One federation, two rounds. The first leader dies while it folds; the second is stopped, as a
machine that sleeps is, and goes on when another leads; the third is told to stop. Whoever
leads, the sums are exact and nothing is said twice.
"""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tomlkit

from coordinator.adapters.objects.files import LocalObjects
from coordinator.fold.addition import ChunkTask, add_chunk
from coordinator.rounds.state import Phase
from privacy import plan
from privacy.merkle import tree_root
from privacy.records import Sum
from tests.ports import own_port
from tests.postgres import Server, fresh_database
from tests.processes.federation import CHUNKS, STEP_SECONDS, Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
PATIENT = {"progress_seconds": "60", "abandon_seconds": "120"}
ONE, TWO = "coordinator", "replica-two"
SERVE = ("veilsum", "coordinator", "serve", "--config")
ZOMBIE = "service.before_save:2=stop"
"""In the life of the second leader: it has published the sum, and a member asks for more."""


@dataclass
class Story:
    """What was seen on the way."""

    federation: Federation
    url: str
    undisturbed: bytes = b""
    taken_over: dict[str, float] = field(default_factory=dict)
    rows_before: int = 0
    stepped_by_zombie: int = 0
    exit_status: int | None = None
    exit_seconds: float = 0.0


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("replicas")
    url = fresh_database(postgres_server)
    with federation(folder, SITES, wanted=2, quorum=3, deadline=PATIENT, database=url) as made:
        seen = Story(made, url)
        _configure(made)
        _kill_while_it_folds(seen)
        _stop_and_go_on(seen)
        _tell_to_stop(seen)
        made.wait_for_end()
        yield seen


def _kill_while_it_folds(seen: Story) -> None:
    made = seen.federation
    _start(made, ONE, "fold.after_row:1=kill")
    made.wait_for_log(ONE, "serving")
    _start(made, TWO, ZOMBIE)
    for name in SITES:
        made.start_site(name)
    made.wait_for_death(ONE)
    began = time.monotonic()
    seen.rows_before = len(made.observer.store.sum_chunks(1))
    seen.undisturbed = _fold_again(made)
    made.wait_for_log(TWO, "serving")
    seen.taken_over["killed"] = time.monotonic() - began


def _stop_and_go_on(seen: Story) -> None:
    made = seen.federation
    made.wait_for("the zombie to stop", lambda: _is_stopped(made.pid(TWO)))
    began = time.monotonic()
    _start(made, ONE)
    made.wait_for("a third term", lambda: len(made.log(ONE, "serving")) == 2)
    seen.taken_over["stopped"] = time.monotonic() - began
    steps = len(made.log(TWO, "round_stepped"))
    made.send(TWO, signal.SIGCONT)
    made.wait_for_log(TWO, "stepped_down")
    made.wait_for_phase(1, Phase.DONE)
    seen.stepped_by_zombie = len(made.log(TWO, "round_stepped")) - steps


def _tell_to_stop(seen: Story) -> None:
    made = seen.federation
    made.wait_for_log(TWO, "standing_by", count=2)
    made.wait_for_phase(2, Phase.OPEN)
    leader = made.family.running.pop(ONE)
    began = time.monotonic()
    leader.send_signal(signal.SIGTERM)
    seen.exit_status = leader.wait(STEP_SECONDS)
    seen.exit_seconds = time.monotonic() - began
    made.wait_for("a fourth term", lambda: len(made.log(TWO, "serving")) == 2)
    seen.taken_over["told"] = time.monotonic() - began


def test_another_takes_over_within_ten_seconds(story: Story) -> None:
    """Of a death without a word and of a stop; at once of one that said so."""
    assert story.taken_over["killed"] < 10
    assert story.taken_over["stopped"] < 10
    assert story.taken_over["told"] < story.exit_seconds + 1


def test_a_sum_begun_by_one_and_ended_by_another_is_that_of_an_undisturbed_fold(
    story: Story,
) -> None:
    """Bit for bit, and the opened sum is the sum of what sites put in."""
    made = story.federation
    current = made.round(1)
    assert current is not None
    manifest = made.document("sum", current.sum, Sum)

    assert 1 <= story.rows_before < CHUNKS
    assert manifest.root == story.undisturbed.hex()
    assert (made.difference(1), made.difference(2)) == ({0}, {0})


def test_a_zombie_steps_no_round_and_stands_by(story: Story) -> None:
    """It was stopped right before it saved, and went on when another led."""
    downs = story.federation.log(TWO, "stepped_down")

    assert [each["code"] for each in downs] == ["lease_lost"]
    assert story.stepped_by_zombie == 0
    assert len(story.federation.log(TWO, "leading")) == 2


def test_each_term_has_a_higher_token(story: Story) -> None:
    terms = [
        (each["timestamp"], each["name"], each["token"])
        for name in (ONE, TWO)
        for each in story.federation.log(name, "leading")
    ]

    assert [term[1:] for term in sorted(terms)] == [("one", 1), ("two", 2), ("one", 3), ("two", 4)]


def test_no_round_fails_and_everybody_has_the_same_release(story: Story) -> None:
    made = story.federation
    newest = {made.newest_release(name) for name in SITES}

    assert [each.phase for each in made.observer.rounds().values()][:2] == [Phase.DONE] * 2
    assert len(newest) == 1
    assert all(made.cohort(number) == SITES for number in (1, 2))
    assert made.observer.store.pending_effects() == []


def test_who_is_told_to_stop_goes_in_order(story: Story) -> None:
    assert story.exit_status == 0
    assert story.exit_seconds < 10


# -- the federation with two coordinators ------------------------------------------------


def _configure(made: Federation) -> None:
    port = own_port()
    _write_coordinator(made, ONE, "one", made.port)
    _write_coordinator(made, TWO, "two", port)
    for name in SITES:
        path = made.places.site(name) / "site.toml"
        document = tomlkit.parse(path.read_text()).unwrap()
        document["coordinator"]["alternatives"] = [f"127.0.0.1:{port}"]
        path.write_text(tomlkit.dumps(document))


def _write_coordinator(made: Federation, process: str, name: str, port: int) -> None:
    home = made.places.coordinator
    document = tomlkit.parse((home / "coordinator.toml").read_text()).unwrap()
    document["state"] = str(home / name)
    document["objects"] = str(home / "objects")
    document["replica"] = {"name": name}
    document["listen"]["address"] = f"127.0.0.1:{port}"
    _config(made, process).write_text(tomlkit.dumps(document))


def _start(made: Federation, process: str, failpoints: str = "") -> None:
    made._start(process, SERVE, _config(made, process), failpoints)


def _config(made: Federation, process: str) -> Path:
    return made.places.coordinator / f"{process}-replica.toml"


def _is_stopped(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text()


def _fold_again(made: Federation) -> bytes:
    """Return the root of the sum of what is stored, added by nobody who was ever disturbed."""
    store = made.observer.store
    planned = plan.unpack(store.document("plan", "1"))
    objects = LocalObjects(made.places.coordinator / "objects")
    roots = []
    for chunk in range(CHUNKS):
        inputs = tuple(sorted(store.chunk_roots(1, 0, chunk).items()))
        arithmetic = planned.arithmetic
        task = ChunkTask(1, chunk, inputs, planned.parameters(), arithmetic.dimension)
        roots.append(add_chunk(task, _Beside(objects)).root)
    return tree_root(roots)


@dataclass
class _Beside:
    """An object store whose sums go nowhere."""

    objects: LocalObjects

    def get(self, name: str) -> bytes:
        return self.objects.get(name)

    def put(self, name: str, data: bytes) -> None:
        pass
