"""A coordinator's stores, ports and chain: what is refused comes with words and a fix."""

import socket
from pathlib import Path

import pytest

from coordinator.adapters.sql.store import open_store
from coordinator.config import S3Access
from tests.chain.fake_node import FakeNode, served
from veilsum.chain.access import ChainAccess, SignerAccess
from veilsum.doctor.chain import check_chain, check_chains
from veilsum.doctor.finding import Finding, Level
from veilsum.doctor.host import check_port, check_root_key
from veilsum.doctor.report import report_of, status_of
from veilsum.doctor.stores import check_database, check_objects


class Places:
    """What of a coordinator's settings says where its stores are."""

    def __init__(self, state: Path, database: str = "", objects: str | None = None) -> None:
        self.state = state
        self.database = database or f"sqlite:///{state / 'coordinator.sqlite'}"
        self.database_password = None
        self.objects = objects
        self.s3: S3Access | None = None


def test_a_database_is_written_read_and_left_as_it_was(tmp_path):
    places = Places(tmp_path)
    store = open_store(places.database)

    found = check_database(places)

    assert (found.level, found.found) == (Level.OK, "written, read back and removed")
    assert store.documents("doctor") == []
    store.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    """To look must not begin a coordinator's state."""
    found = check_database(Places(tmp_path))

    assert found.level is Level.PROBLEM
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_none_is_said_to_be_none(tmp_path):
    (tmp_path / "coordinator.sqlite").write_bytes(b"not a database" * 100)

    found = check_database(Places(tmp_path))

    assert found.level is Level.PROBLEM
    assert found.fix


def test_objects_are_written_read_and_removed(tmp_path):
    (tmp_path / "objects").mkdir()

    found = check_objects(Places(tmp_path))

    assert found.level is Level.OK
    assert list((tmp_path / "objects").iterdir()) == []


def test_objects_that_cannot_be_written_are_a_problem(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    found = check_objects(Places(tmp_path, objects=str(tmp_path / "file" / "objects")))

    assert found.level is Level.PROBLEM
    assert "File exists" in found.found


def test_a_port_where_nobody_listens_is_said_and_one_where_somebody_does():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        heard = check_port("listen.address", f"0.0.0.0:{port}", 1.0)
    unheard = check_port("listen.address", f"127.0.0.1:{port}", 1.0)

    assert heard.level is Level.OK
    assert unheard.level is Level.WARNING


@pytest.mark.parametrize(("asked", "level"), [(31337, Level.OK), (1, Level.PROBLEM)])
def test_a_chain_must_be_the_one_that_is_meant(asked, level):
    with served(FakeNode(chain_id=31337)) as url:
        found = check_chain(f"{url}/?apikey=hunter2", asked, "", 5.0)

    assert found.level is level
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("genesis", "levels"), [("11", [Level.OK, Level.OK]), ("22", [Level.PROBLEM])]
)
def test_two_endpoints_must_be_of_one_chain(genesis, levels):
    """Found out before a round is settled, and by name."""
    nodes = FakeNode(), FakeNode(genesis="0x" + genesis * 32)
    with served(nodes[0]) as one, served(nodes[1]) as two:
        signer = SignerAccess("https://signer.example.org", "0x" + "12" * 20)
        access = ChainAccess(rpc=one, second_rpc=two, chain_id=31337, signer=signer)

        found = check_chains(access, "", 5.0)

    assert [each.level for each in found] == levels


def test_a_chain_that_does_not_answer_is_a_warning():
    """Rounds go on without it."""
    found = check_chain("http://127.0.0.1:9", 31337, "", 1.0)

    assert found.level is Level.WARNING


def test_the_roots_key_is_missed_nowhere_and_warned_of_where_it_was_made(tmp_path):
    """Whoever takes the machine would have the whole federation's authority with it."""
    assert check_root_key(tmp_path / "root.key") == []
    (tmp_path / "root.key").write_bytes(b"")

    (found,) = check_root_key(tmp_path / "root.key")

    assert found.level is Level.WARNING
    assert "move it" in found.fix


@pytest.mark.parametrize(
    ("levels", "status"),
    [
        ((), 0),
        ((Level.OK,), 0),
        ((Level.OK, Level.WARNING), 10),
        ((Level.WARNING, Level.PROBLEM), 1),
    ],
)
def test_what_can_wait_ends_with_another_status_than_what_cannot(levels, status):
    """A monitor calls nobody at night for a certificate that lives for three more weeks."""
    findings = [Finding("check", "it", "found", each, "mend it", "somebody") for each in levels]

    assert status_of(report_of("it", findings)) == status
