"""A coordinator whose database is a PostgreSQL, in real processes; both are killed."""

import subprocess
import sys

from coordinator.adapters.sql import schema
from coordinator.rounds.state import Phase
from veilsum.federation.observe import observe

from .federation import federation


def database(made, *words):
    """Run `veilsum coordinator database` on a federation's settings."""
    command = [sys.executable, "-m", "veilsum", "coordinator", "database", *words]
    return subprocess.run(
        [*command, "--config", str(made.places.coordinator / "coordinator.toml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_programme_on_postgresql_ends_whatever_of_the_two_is_killed(
    tmp_path, postgres_server, postgres_url
):
    """The database server while a round is open, the coordinator in the next; no step is lost."""
    with federation(tmp_path, database=postgres_url, wanted=2) as made:
        made.start()
        made.wait_for_phase(1, Phase.OPEN)
        running = database(made, "downgrade", "--to", "0004")

        postgres_server.kill()
        postgres_server.start()
        made.wait_for_phase(2, Phase.OPEN)
        made.kill("coordinator")
        made.run_to_the_end()

        assert [made.round(number).phase for number in (1, 2)] == [Phase.DONE, Phase.DONE]
        assert [len(made.cohort(number)) for number in (1, 2)] == [3, 3]
        assert made.difference(1) | made.difference(2) <= {0, 1}
        assert not (made.places.coordinator / "coordinator.sqlite").exists()
        assert running.returncode != 0
        assert "another process runs from this folder" in running.stderr + running.stdout
        moves_down_and_up(made, postgres_url)


def moves_down_and_up(made, url):
    """The schema goes down for an older version, and up again: the rounds are what they were."""
    made.family.stop()
    before = {number: each.phase for number, each in made.observer.rounds().items()}

    down = database(made, "downgrade", "--to", "0004")
    up = database(made, "upgrade")

    assert down.stdout == f"schema {schema.REVISIONS[-1]} -> 0004\n"
    assert up.stdout == f"schema 0004 -> {schema.REVISIONS[-1]}\n"
    assert {number: each.phase for number, each in observe(url).rounds().items()} == before
