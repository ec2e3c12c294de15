"""What is seen from outside: the coordinator's database, read only, and logs."""

import hashlib
from pathlib import Path

import pytest

from coordinator.adapters.sql.store import open_store
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase, Round, Rules
from tests import fakes
from veilsum.federation.observe import Observer, events, observe

RULES = Rules(("a", "b"), ("a", "b", "c"), 2, 2, 3.0, 60.0)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'coordinator.sqlite'}"


def saved(database: str, *phases: Phase) -> Observer:
    store = open_store(database)
    for number, phase in enumerate(phases, 1):
        state = machine.encode(Round(number, RULES, phase))
        store.save_step(number, None, state, [])
    return observe(database)


def test_rounds_are_read_beside_the_coordinator(database: str) -> None:
    """Another process has the database open and goes on writing."""
    observer = saved(database, Phase.DONE, Phase.OPENING, Phase.KEYING)

    assert [each.phase for each in observer.rounds().values()] == ["done", "opening", "keying"]
    assert observer.released() == 1


@pytest.mark.parametrize("phase", Phase)
def test_a_round_is_past_open_once_its_cohort_is_frozen(database: str, phase: Phase) -> None:
    """Only then may the killed hospital come back without being waited for."""
    observer = saved(database, phase)

    waiting = (Phase.KEYING, Phase.KEYED, Phase.OPEN)
    assert observer.is_past_open(1) is (phase not in waiting)
    assert not observer.is_past_open(2)


def test_durable_chunks_are_those_with_a_row(database: str) -> None:
    """The demo kills a hospital by this number, so it must be what a restart would find."""
    store = open_store(database)
    observer = observe(database)
    assert observer.durable_chunks(2, "a") == 0

    store.begin_upload("a", fakes.seen("a", 2, "ab" * 32), b"header", at=0.0)
    for index in range(2):
        root = hashlib.sha256(bytes([index])).digest()
        store.record_chunk(2, "a", 0, index, root, 10, at=0.0)

    assert observer.durable_chunks(2, "a") == 2
    assert observer.durable_chunks(1, "a") == 0


def test_a_log_is_read_past_what_is_no_event(tmp_path: Path) -> None:
    """Libraries write there too, and a killed process may leave half a line."""
    log = tmp_path / "site.log"
    log.write_bytes(
        b'{"event": "joined", "n": 1}\nWARNING: something\n42\n\xff\xfe\n'
        b'{"event": "done"}\n{"event": "joined", "n": 2}\n{"event": "join'
    )

    assert [each["n"] for each in events(log, "joined")] == [1, 2]
    assert events(log, "never") == []
