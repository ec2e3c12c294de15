"""Coordinators over one PostgreSQL, in real processes, whatever their settings forget to say."""

import time

import pytest
import tomlkit

from tests.ports import own_port
from tests.processes.federation import STEP_SECONDS, federation

pytestmark = pytest.mark.slow

SERVE = ("veilsum", "coordinator", "serve", "--config")
ONE, TWO = "coordinator", "coordinator-two"
BACK_SECONDS = 5.0


def configure(made, process, port, **other):
    """Write a coordinator's settings: as the first one's, but for its folder and address."""
    home = made.places.coordinator
    document = tomlkit.parse((home / "coordinator.toml").read_text()).unwrap()
    document["state"] = str(home / process)
    document["listen"]["address"] = f"127.0.0.1:{port}"
    (home / f"{process}.conf").write_text(tomlkit.dumps({**document, **other}))


def start(made, process):
    made._start(process, SERVE, made.places.coordinator / f"{process}.conf", "")


def leading(made):
    return [each["name"] for name in (ONE, TWO) for each in made.log(name, "leading")]


def test_of_two_that_start_at_once_on_an_empty_database_one_leads(tmp_path, postgres_url):
    """Both make the schema, and both would lead; the other follows when the first has ended."""
    with federation(tmp_path, database=postgres_url) as made:
        objects = str(tmp_path / "objects")
        configure(made, ONE, made.port, objects=objects, replica={"name": "one"})
        configure(made, TWO, own_port(), objects=objects, replica={"name": "two"})

        for process in (ONE, TWO):
            start(made, process)
        made.wait_for("a leader", lambda: made.log(ONE, "serving") or made.log(TWO, "serving"))
        made.wait_for(
            "a standby", lambda: made.log(ONE, "another_leads") or made.log(TWO, "another_leads")
        )
        first = leading(made)
        made.kill(ONE if first == ["one"] else TWO)
        made.wait_for("the other", lambda: len(leading(made)) == 2)

        assert len(first) == 1
        assert sorted(leading(made)) == ["one", "two"]
        assert not made.log(ONE, "stepped_down") + made.log(TWO, "stepped_down")


def test_a_coordinator_alone_on_postgresql_is_back_at_once_after_a_kill(tmp_path, postgres_url):
    """Its folder's lock shows that the one that held the lease is gone: nobody waits for that."""
    with federation(tmp_path, database=postgres_url) as made:
        made.start_coordinator()
        made.wait_for_log(ONE, "serving")
        made.kill(ONE)

        began = time.monotonic()
        made.start_coordinator()
        made.wait_for_log(ONE, "serving", count=2)
        seconds = time.monotonic() - began

        print(f"serving again after {seconds:.2f} s")
        assert seconds < BACK_SECONDS
        assert [each["token"] for each in made.log(ONE, "leading")] == [1, 2]
        assert not made.log(ONE, "another_leads")


def test_a_second_one_with_objects_of_its_own_is_refused_while_the_first_lives(
    tmp_path, postgres_url
):
    """An old unit file, or a forgotten table: it never leads, and never serves."""
    with federation(tmp_path, database=postgres_url) as made:
        made.start_coordinator()
        made.wait_for_log(ONE, "serving")
        configure(made, TWO, own_port())

        start(made, TWO)
        second = made.family.running.pop(TWO)
        status = second.wait(STEP_SECONDS)

        assert status == 2, made.tail()
        assert "leads with it, and objects would be this process's own" in made.tail()
        assert not made.log(TWO, "leading")
        assert not made.log(ONE, "stepped_down")
