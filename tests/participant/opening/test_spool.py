"""A sum on its way to being opened: each chunk checked, a cut download resumed, all or nothing."""

import stat

import pytest

from participant.opening.spool import Spooled, erase_until, sum_spool
from privacy.errors import MalformedMessage, RootMismatch, StoreUnavailable
from tests.participant import signed_round as made

ROUND = made.Round(made.plan(), made.TRAINERS)
OTHER = made.Round(made.plan(), made.OPENERS)


def spool(folder, of=ROUND):
    return sum_spool(folder, of.plan, of.sum)


def filled(folder, count=2):
    made_here = spool(folder)
    made_here.resume()
    for chunk in ROUND.chunks[:count]:
        made_here.put(chunk)
    return made_here


def test_a_whole_sum_is_read_as_it_came(tmp_path):
    """As often as it is asked for."""
    whole = filled(tmp_path)

    whole.check()

    chunks = Spooled(whole.folder, 2)
    assert len(chunks) == 2
    assert tuple(chunks) == tuple(chunks) == ROUND.chunks


def test_a_download_goes_on_where_it_stopped(tmp_path):
    """In another process: nothing is in memory but the folder's name."""
    filled(tmp_path, 1)

    after = spool(tmp_path)

    assert after.resume() == len(after) == 1
    after.put(ROUND.chunks[1])
    after.check()
    assert tuple(Spooled(after.folder, 2)) == ROUND.chunks


def test_a_damaged_chunk_is_fetched_again(tmp_path):
    """And all that follow it."""
    path = filled(tmp_path).folder / "00000000"
    path.write_bytes(path.read_bytes()[:-1])

    after = spool(tmp_path)

    assert after.resume() == 0
    for chunk in ROUND.chunks:
        after.put(chunk)
    after.check()


def test_a_chunk_that_is_none_is_refused_at_once(tmp_path):
    """Not after gigabytes more."""
    empty = filled(tmp_path, 0)

    for wrong in (b"", ROUND.chunks[1], ROUND.chunks[0][:-1]):
        with pytest.raises(MalformedMessage):
            empty.put(wrong)
    assert len(empty) == 0
    assert list(empty.folder.iterdir()) == []


def test_more_chunks_than_there_are_fill_no_disk(tmp_path):
    """A coordinator that does not stop."""
    whole = filled(tmp_path)

    with pytest.raises(MalformedMessage, match="no chunk 2"):
        whole.put(ROUND.chunks[1])
    assert len(list(whole.folder.iterdir())) == 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_chunks_of_another_root_are_refused_and_deleted(tmp_path, count):
    """Too few of them, or all of another sum."""
    other = filled(tmp_path, 0)
    for chunk in OTHER.chunks[:count]:
        other.put(chunk)

    with pytest.raises(RootMismatch):
        other.check()
    assert not other.folder.exists()


def test_chunks_that_changed_on_the_disk_are_nobodys_fault_yet(tmp_path):
    """Kept from before the cut, well-formed, and not what came: all is fetched again."""
    path = filled(tmp_path, 1).folder / "00000000"
    path.write_bytes(OTHER.chunks[0])
    after = spool(tmp_path)
    assert after.resume() == 1
    after.put(ROUND.chunks[1])

    with pytest.raises(StoreUnavailable, match="fetched again"):
        after.check()
    assert not after.folder.exists()


def test_two_manifests_of_a_round_do_not_share_chunks(tmp_path):
    """The folder is the manifest's."""
    filled(tmp_path)

    other = spool(tmp_path, OTHER)

    assert other.resume() == 0


def test_a_disk_that_refuses_is_said_so(tmp_path):
    """A file where the folder should be."""
    (tmp_path / "000001").write_bytes(b"")

    with pytest.raises(StoreUnavailable):
        spool(tmp_path).resume()


def test_a_chunk_that_is_gone_is_an_error_of_the_store(tmp_path):
    """Not a shorter sum."""
    whole = filled(tmp_path)
    (whole.folder / "00000001").unlink()

    with pytest.raises(StoreUnavailable, match="00000001"):
        list(Spooled(whole.folder, 2))


def test_what_rounds_left_is_erased_up_to_the_last_one(tmp_path):
    """Opened, or given up: the next round's stays."""
    for number in (1, 2, 3):
        (tmp_path / f"{number:06d}" / "digest").mkdir(parents=True)

    erase_until(tmp_path, 2)
    erase_until(tmp_path / "none", 2)

    assert [path.name for path in tmp_path.iterdir()] == ["000003"]


def test_live_rounds_and_what_is_no_round_are_not_erased(tmp_path):
    """An operator's copy, and a round that waits for a later one."""
    kept = {"000002", "000001.bak", "1", "0000001", "000001 copy"}
    for name in {"000001", "000003", *kept}:
        (tmp_path / name).mkdir()

    erase_until(tmp_path, 3, live={2})

    assert {path.name for path in tmp_path.iterdir()} == kept


def test_only_the_owner_reads_it(tmp_path):
    """Who has the round's secret could open it."""
    whole = filled(tmp_path / "opening")

    for path in (whole.folder, *whole.folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
