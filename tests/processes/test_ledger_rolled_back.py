"""An old backup of a site's state is put back: it is noticed, and nothing is spent twice.

Three federations. In the first the site itself refuses, by its memory of its ledger or, where
that is an old copy too, by its own newest header, which the coordinator keeps; with the newest
ledger it goes on. In the others the coordinator keeps silent: under `ckks` the site's peers refuse,
and under `shares` seats leave that site out, and nobody else.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from participant.config import limits_of, read
from participant.keys import load_keys
from participant.ledger.site_ledger import SiteLedger
from privacy.ledger import RowType
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PATIENT = {"progress_seconds": "15", "abandon_seconds": "120"}
LEDGER = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm")
CONFIG_ERROR = 2
SEATS = ("seat-1", "seat-2", "seat-3")


@dataclass
class Story:
    """What was seen on the way."""

    federation: Federation
    statuses: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    epsilon: dict[str, float] = field(default_factory=dict)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The first: a backup of round 1 is put back after round 2, in part and then whole."""
    folder = tmp_path_factory.mktemp("rolled_back")
    with federation(folder, wanted=3, quorum=3, deadline=PATIENT) as made:
        story, home = Story(made), made.places.site("site-c")
        made.start()
        _back_up_after(made, 1, folder / "old")
        made.wait_for_log("site-c", "contribution_sent", round=2)
        made.kill("site-c")
        shutil.copytree(home, folder / "newest")
        story.epsilon["newest"] = _epsilon(made, folder / "newest")
        story.epsilon["old"] = _epsilon(made, folder / "old")

        _put_back(folder / "old", home, LEDGER)
        _try_to_start(story, "ledger")
        _put_back(folder / "old", home)
        _try_to_start(story, "everything")

        _put_back(folder / "newest", home)
        made.run_to_the_end()
        yield story


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The second: of rounds 2 and 3 nothing is left at a site that takes part in round 4."""
    folder = tmp_path_factory.mktemp("silent")
    with federation(folder, wanted=4, quorum=3, deadline=PATIENT) as made:
        story, home = Story(made), made.places.site("site-c")
        made.start_coordinator(double="forgetful_coordinator")
        for name in made.sites:
            made.start_site(name)
        _back_up_after(made, 1, folder / "old")
        made.wait_for_log("site-c", "model_adopted", round=3)
        made.kill("site-c")
        assert "site-c" not in _committed(made, 4)
        story.epsilon["newest"] = _epsilon(made, home)
        _put_back(folder / "old", home)
        story.epsilon["old"] = _epsilon(made, home)
        made.start_site("site-c")
        for name in ("site-a", "site-b"):
            made.wait_for_log(name, "declined", task="Open", round=4)
        yield story


@pytest.fixture(scope="module")
def seated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The third: the same under `shares`; of rounds 2 and 3 nothing is left at the site."""
    folder = tmp_path_factory.mktemp("seated")
    with federation(folder, seats=SEATS, wanted=4, quorum=2, deadline=PATIENT) as made:
        story, home = Story(made), made.places.site("site-c")
        made.start_coordinator(double="forgetful_coordinator")
        for name in SEATS:
            made.start_seat(name)
        for name in made.sites:
            made.start_site(name)
        _back_up_after(made, 1, folder / "old")
        made.wait_for_log("site-c", "model_adopted", round=3)
        made.kill("site-c")
        assert "site-c" not in _committed(made, 4)
        _put_back(folder / "old", home)
        made.start_site("site-c")
        made.wait_for_log("site-c", "left_out", round=4)
        made.wait_for("the last release", lambda: made.observer.released() == 4)
        yield story


def _back_up_after(made: Federation, number: int, copy: Path) -> None:
    made.wait_for_log("site-c", "model_adopted", round=number)
    made.kill("site-c")
    assert "site-c" not in _committed(made, number + 1)
    shutil.copytree(made.places.site("site-c"), copy)
    made.start_site("site-c")


def _committed(made: Federation, number: int) -> set[str]:
    current = made.round(number)
    return {each.participant for each in current.committed} if current else set()


def _put_back(copy: Path, home: Path, names: tuple[str, ...] = ()) -> None:
    """Put a whole folder back, or some files of it and no others of those names."""
    if not names:
        shutil.rmtree(home)
        shutil.copytree(copy, home)
    for name in names:
        (home / name).unlink(missing_ok=True)
        if (copy / name).exists():
            shutil.copy2(copy / name, home / name)


def _try_to_start(story: Story, what: str) -> None:
    made = story.federation
    log = made.places.logs / "site-c.log"
    before, rows = log.stat().st_size, len(made.ledger("site-c"))
    sent = len(made.log("site-c", "contribution_sent"))
    made.start_site("site-c")
    story.statuses[what] = made.family.running.pop("site-c").wait(60)
    story.said[what] = log.read_bytes()[before:].decode()
    story.rows[what] = len(made.ledger("site-c")) - rows
    story.sent[what] = len(made.log("site-c", "contribution_sent")) - sent


def _epsilon(made: Federation, home: Path) -> float:
    settings = read(made.places.site("site-c") / "site.toml")
    ledger = SiteLedger(
        home / "ledger.sqlite",
        time.time,
        site="site-c",
        limits=limits_of(settings.policy),
        key=load_keys(home / "keys").signing,
    )
    spent = ledger.spent_epsilon(settings.dataset.id, float(settings.policy.delta))
    ledger.close()
    return spent


def test_without_the_check_spend_would_be_forgotten(honest: Story) -> None:
    """The control: what the old ledger says was spent is less than what was."""
    assert 0 < honest.epsilon["old"] < honest.epsilon["newest"]


@pytest.mark.parametrize(
    ("what", "seen"),
    [("ledger", "and this site has seen"), ("everything", "what this site has sent in round 2")],
)
def test_a_site_with_an_old_ledger_refuses_to_start(honest: Story, what: str, seen: str) -> None:
    """The old ledger alone, and the whole folder, whose memory has forgotten as well."""
    assert honest.statuses[what] == CONFIG_ERROR
    assert "ledger_rolled_back; who must act: the operator of this process" in honest.said[what]
    assert "older copy was put back; put the newest one back" in honest.said[what]
    assert seen in honest.said[what]


@pytest.mark.parametrize("what", ["ledger", "everything"])
def test_an_old_ledger_spends_nothing_and_sends_nothing(honest: Story, what: str) -> None:
    """No row is written, and no contribution leaves."""
    assert honest.rows[what] == 0
    assert honest.sent[what] == 0


def test_with_the_newest_ledger_the_site_goes_on(honest: Story) -> None:
    """Each round is committed once, in one ledger that only grew."""
    made = honest.federation
    rounds = [row.round for row in made.ledger("site-c") if row.type is RowType.COMMIT]

    assert rounds == [1, 2, 3]
    assert made.observer.released() == 3
    assert made.cohort(3) == made.sites


def test_trainers_witness_each_others_ledgers_and_not_their_own(honest: Story) -> None:
    """Each opener, of each other's headers, in a signed ledger of its own; once."""
    for name in honest.federation.sites:
        seen = [row.witness for row in honest.federation.ledger(name) if row.witness]
        sizes = {other: [] for other in honest.federation.sites if other != name}
        for each in seen:
            sizes[each.participant].append(each.size)

        assert all(found and found == sorted(set(found)) for found in sizes.values())


def test_peers_refuse_where_the_coordinator_keeps_silent(silent: Story) -> None:
    """They have seen two newer headers of the site, and open no sum with an older one's."""
    made = silent.federation

    for name in ("site-a", "site-b"):
        (refused,) = made.log(name, "declined")
        assert refused["code"] == "peer_ledger_rolled_back"
        assert str(refused["reason"]).startswith("site-c: its header for round ")
    assert "site-c" in _committed(made, 4)
    assert made.observer.released() == 3


def test_seats_leave_out_that_site_alone_and_tell_it(seated: Story) -> None:
    """The others' round goes on, and its operator reads who must act."""
    made = seated.federation

    assert made.cohort(3) == made.sites
    assert made.cohort(4) == ("site-a", "site-b")
    for told in made.log("site-c", "left_out"):
        assert told["code"] == "peer_ledger_rolled_back"
        assert told["who_acts"] == "this site's operator"


def test_the_old_copy_would_have_forgotten_what_was_spent(silent: Story) -> None:
    """The control: of three rounds it knows one."""
    assert 0 < silent.epsilon["old"] < silent.epsilon["newest"]
