"""The order to aggregate: carried out to the end, put off, or the end of its round."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import msgspec
import pytest
import structlog

from coordinator import object_names as names
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.store import open_store
from coordinator.fold.engine import OneProcess
from coordinator.fold.folding import PAUSE_SECONDS, TRIES_IN_VAIN
from coordinator.keys import make_signing_key
from coordinator.rounds.state import Abandoned, Phase
from privacy import canonical
from privacy.errors import FoldInterrupted, InvariantBroken, NotYet
from privacy.failpoints import Failpoints
from privacy.signing import public_bytes
from tests import fakes
from tests.fakes import SITES, Federation, crash_at, expected_sum, seed_of
from tests.loopback import make_federation


@pytest.fixture
def closed(opened):
    """A round that is to be added up."""
    for name in SITES:
        opened.contribute(name)
    return opened


def sums(federation, number=1):
    return federation.objects.names(names.sums(number))


def orders(federation):
    return [each.body for each in federation.store.pending_effects()]


# -- what is not signed ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (lambda rows: [replace(row, inputs=3) for row in rows], "made from 3 .* the cohort has 4"),
        (lambda rows: [replace(row, inputs=5) for row in rows], "made from 5 .* the cohort has 4"),
        (lambda rows: rows[1:], "1 chunks of the sum are recorded, not each of 2"),
    ],
)
def test_a_sum_that_is_not_the_whole_cohorts_stops_the_coordinator_unsigned(
    closed, said, why, monkeypatch
):
    """Whatever went wrong in whichever engine, no signature of the coordinator vouches for it."""

    def lie(engine, tasks, stop, run=OneProcess.run):
        yield from said(list(run(engine, tasks, stop)))

    monkeypatch.setattr(OneProcess, "run", lie)

    with structlog.testing.capture_logs() as log, pytest.raises(InvariantBroken, match=why):
        closed.tick()

    assert closed.round().phase is Phase.AGGREGATING
    assert [each["event"] for each in log if each["log_level"] == "critical"] == [
        "invariant_broken"
    ]
    assert closed.store.documents("sum") == closed.store.documents("cohort") == []
    with pytest.raises(InvariantBroken):
        closed.service.rounds.apply(1, Abandoned("anything"))


# -- stopped, and going on ---------------------------------------------------------------


def test_an_order_that_is_stopped_waits_for_the_next_start(closed):
    before = orders(closed)
    closed.service.stop()

    for _ in range(2):
        with pytest.raises(FoldInterrupted):
            closed.tick()

    assert closed.round().phase is Phase.AGGREGATING
    assert orders(closed) == before != []
    closed.start()
    closed.tick()
    assert closed.round().phase is Phase.OPENING


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("place", ["fold.before_row", "fold.after_row"])
def test_a_crash_beside_a_row_changes_nothing_of_the_sum(closed, place, count):
    closed.start(crash_at(place, count))
    closed.surviving(closed.tick)

    assert closed.round().phase is Phase.OPENING
    assert [row.inputs for row in closed.store.sum_chunks(1)] == [len(SITES)] * 2
    for chunk in range(2):
        total = expected_sum([seed_of(name, 1) for name in SITES], chunk)
        assert closed.objects.get(names.sum_chunk(1, chunk)) == total


# -- killed, again and again -------------------------------------------------------------


@pytest.fixture
def dying(monkeypatch):
    """Every try of a fold that is begun: how many chunks it adds before its processes die."""
    begun, adds = [], []

    def die(engine, tasks, stop, run=OneProcess.run):
        begun.append(True)
        made = run(engine, tasks, stop)
        for _ in range(adds.pop(0) if adds else 0):
            yield next(made)
        raise FoldInterrupted("a process that adds up failed; the machine may lack memory")

    monkeypatch.setattr(OneProcess, "run", die)
    return begun, adds


def tried(federation, count=1):
    """Let the order be tried; return what is said at error level."""
    with structlog.testing.capture_logs() as log:
        for _ in range(count):
            with pytest.raises(FoldInterrupted):
                federation.tick()
    return [each for each in log if each["log_level"] == "error"]


def test_after_five_tries_in_vain_the_operator_is_told_and_tries_are_rare(closed, dying):
    """Whatever kills them, trying more often does not help; and it is not given up."""
    begun, _ = dying
    assert tried(closed, 4) == []

    (said,) = tried(closed)

    assert (TRIES_IN_VAIN, len(begun)) == (5, 5)
    assert (said["event"], said["round"], said["tries"]) == ("fold_in_vain", 1, 5)
    assert said["who_acts"] == "the coordinator's operator"
    assert "memory" in said["action"]
    closed.clock.advance(PAUSE_SECONDS - 1)
    assert (tried(closed, 10), len(begun)) == ([], 5)
    closed.clock.advance(1)
    assert ([each["tries"] for each in tried(closed)], len(begun)) == ([6], 6)
    assert PAUSE_SECONDS >= 30
    assert closed.round().phase is Phase.AGGREGATING


def test_a_fold_that_gets_on_is_not_in_vain(closed, dying):
    begun, adds = dying
    adds += [0, 0, 0, 0, 1, 0, 0, 0, 0]

    assert (tried(closed, 9), len(begun)) == ([], 9)
    assert len(tried(closed)) == 1


def test_a_fold_in_vain_ends_when_there_is_memory_again(closed, dying, monkeypatch):
    tried(closed, 5)
    monkeypatch.undo()
    closed.clock.advance(PAUSE_SECONDS)

    closed.tick()

    assert closed.round().phase is Phase.OPENING


# -- erased with its round ---------------------------------------------------------------


def test_a_sum_is_erased_when_its_round_is_done(added_up):
    """Its key is gone, so nobody could open it; the manifest stays, and says what it was."""
    added_up.finish()
    had = sums(added_up)

    added_up.tick()

    assert added_up.round().phase is Phase.DONE
    assert len(had) == 2
    assert sums(added_up) == added_up.store.sum_chunks(1) == []
    assert added_up.service.sums.manifest(SITES[0], 1).signatures
    with pytest.raises(NotYet):
        added_up.service.sums.chunk(SITES[0], 1, 0)


def test_what_is_left_of_an_aborted_rounds_sum_is_erased(closed):
    """The second chunk cannot be made; the first is there, and has its row."""
    damaged = names.contribution_chunk(1, SITES[2], 0, 1)
    closed.objects.delete_prefix(damaged)
    closed.start(crash_at("effect.before_erase"))
    with pytest.raises(fakes.Crash):
        closed.tick(2)
    left = sums(closed), closed.store.sum_chunks(1)
    closed.start()

    closed.tick()

    assert closed.round().phase is Phase.ABORTED
    assert [len(each) for each in left] == [1, 1]
    assert sums(closed) == closed.store.sum_chunks(1) == []
    assert orders(closed) == []


def test_only_the_rounds_own_sum_is_erased(added_up):
    added_up.objects.put(names.sum_chunk(10, 0), b"another round's")
    added_up.finish()

    added_up.tick()

    assert sums(added_up, 10) == [names.sum_chunk(10, 0)]


# -- a process that is told to stop ------------------------------------------------------

CHUNKS = 4
SERVE_SLOWLY = """
import asyncio, sys, time
from pathlib import Path
from coordinator import server
from coordinator.adapters.objects.files import LocalObjects
from privacy.failpoints import Failpoints
from tests.coordinator.fold.test_folding import settings_in

get = LocalObjects.get

def slow(objects, name):
    time.sleep(0.1)
    print(name, flush=True)
    return get(objects, name)

LocalObjects.get = slow
asyncio.run(server.serve(settings_in(Path(sys.argv[1])), Failpoints()))
"""


def settings_in(folder):
    settings = fakes.make_settings(folder)
    model = msgspec.structs.replace(settings.model, dimension=4096 * CHUNKS)
    return msgspec.structs.replace(settings, model=model)


def test_sigterm_in_the_middle_of_a_fold_stops_it_between_chunks_and_the_next_start_goes_on(
    tmp_path,
):
    """Within about a second; what is added stays, and is not added again."""
    federation = _on_disk(tmp_path)
    _close(federation)

    serving = subprocess.Popen(
        [sys.executable, "-c", SERVE_SLOWLY, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with serving:
        while "contributions" not in serving.stdout.readline():
            assert serving.poll() is None
        for _ in range(len(SITES) + 1):  # into the second chunk
            serving.stdout.readline()
        serving.send_signal(signal.SIGTERM)
        told = time.monotonic()
        status = serving.wait(30)
        took = time.monotonic() - told

    kept = federation.store.sum_chunks(1)
    federation.start()
    assert (status, took < 2) == (0, True)
    assert 1 <= len(kept) < CHUNKS
    assert federation.round().phase is Phase.AGGREGATING
    assert len(orders(federation)) == 1
    federation.tick()
    assert federation.round().phase is Phase.OPENING
    assert federation.store.sum_chunks(1)[: len(kept)] == kept
    seeds = [seed_of(name, 1) for name in SITES]
    for chunk in range(CHUNKS):
        stored = federation.objects.get(names.sum_chunk(1, chunk))
        assert stored == expected_sum(seeds, chunk)
    federation.store.close()


def _on_disk(folder):
    key = public_bytes(make_signing_key(folder / "signing.key"))
    roster = msgspec.structs.replace(fakes.make_roster(), coordinator_key=key)
    (folder / "roster.json").write_bytes(canonical.encode(roster))
    certified = make_federation()
    (folder / "server.pem").write_bytes(certified.server.certificate_pem)
    (folder / "authority.pem").write_bytes(certified.authority.certificate_pem)
    handle = os.open(folder / "server.key", os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(certified.server.key_pem)
    settings = settings_in(folder)
    store, objects = open_store(settings.database), open_objects(settings.state / "objects")
    return Federation(settings=settings, roster=roster, store=store, objects=objects)


def _close(federation):
    federation.open_round()
    for name in SITES:
        federation.begin(name)
        federation.put(name, chunks=CHUNKS)
        federation.service.contributions.commit(name, 1)
    federation.start(Failpoints())
