"""Where budgets stand, at a site and at a coordinator, which knows less and says so."""

import sqlite3

import pytest
from typer.testing import CliRunner

from coordinator.config import Settings
from participant.config import SiteConfig
from participant.memory import Memory
from privacy.budget import costs_of
from privacy.errors import ConfigError
from privacy.ledger import Checkpoint
from tests.audit import state_folder
from tests.privacy import example_round as example
from tests.privacy.evidence import example_bundle as made
from veilsum.audit import standing
from veilsum.audit.folder import member_of, site_of
from veilsum.audit.standing import standing_of, words_of
from veilsum.cli import app


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """What a coordinator's folder of two rounds says."""
    coordinator = type("Settings", (), {"federation": example.FEDERATION})
    head = made.head(example.COORDINATOR, "run")
    text = made.sealed(head, *made.documents(1, 2), by=example.COORDINATOR)
    monkeypatch.setattr(standing, "Settings", coordinator)
    monkeypatch.setattr(standing, "member_of", lambda state, config, over: coordinator())
    monkeypatch.setattr(standing, "export", lambda state, clock, config, over: text)
    return standing_of(tmp_path, None, lambda: 0.0)


def test_a_coordinators_is_marked_a_mirror_and_knows_no_limit(mirror):
    (one,) = mirror.datasets

    spent = costs_of(made.EVENTS).times(2).sums.epsilon(0.001)
    assert mirror.mirror
    assert (one.participant, one.rounds) == ("amber", 2)
    assert one.sums.committed == pytest.approx(spent, abs=1e-5)
    assert (one.sums.limit, one.sums.remaining, one.sums.reserved) == (None, None, None)
    assert words_of(mirror).startswith("mirror: ")
    assert "of None" not in words_of(mirror)


def test_the_settings_are_those_named_or_those_in_the_folder(tmp_path):
    state_folder.make(tmp_path / "site")
    elsewhere = tmp_path / "other.toml"
    elsewhere.write_text((tmp_path / "site" / "site.toml").read_text())

    assert isinstance(member_of(tmp_path / "site", None), SiteConfig)
    assert site_of(None, elsewhere) == site_of(tmp_path / "site", None)
    assert not isinstance(member_of(None, elsewhere), Settings)


@pytest.mark.parametrize("state", [None, "empty"])
def test_who_names_no_settings_is_told_how(tmp_path, state):
    with pytest.raises(ConfigError, match="--config"):
        member_of(None if state is None else tmp_path, None)


def test_settings_of_neither_kind_say_what_is_wrong_with_both(tmp_path):
    (tmp_path / "some.toml").write_text('colour = "red"\n')

    with pytest.raises(ConfigError, match="neither a site's nor a coordinator's"):
        member_of(None, tmp_path / "some.toml")


def test_a_checkpoint_that_is_recorded_is_shown(tmp_path):
    state_folder.make(tmp_path)
    ledger = made.open_ledger(tmp_path)
    head = ledger.mark()
    ledger.close()

    found = standing_of(tmp_path, None, lambda: 0.0)

    assert found.checkpoint == head
    assert found.size == head.size + 1
    assert f"last checkpoint: {head.size} rows, root {head.root}" in words_of(found)


def remembers(folder, rows):
    """What a site's agent remembers of its ledger."""
    memory = Memory(folder)
    memory.begins_ledger()
    memory.ledger_grew(Checkpoint(rows, "5e" * 32))
    memory.close()


ASK = (("audit", "status"), ("budget", "forecast"))


@pytest.mark.parametrize("words", ASK)
def test_an_older_copy_of_the_ledger_is_said_to_be_one(tmp_path, words):
    """An answer from it would forget what was spent since, and look like room."""
    state_folder.make(tmp_path)
    remembers(tmp_path, 1000)

    done = CliRunner().invoke(app, [*words, "--state", str(tmp_path)])

    assert done.exit_code != 0
    assert "an older copy was put back" in done.output


@pytest.mark.parametrize("words", ASK)
@pytest.mark.parametrize(
    ("begun", "advice"), [(True, "restore it"), (False, "this site has not run yet")]
)
def test_a_missing_ledger_is_to_be_restored_only_where_there_was_one(
    tmp_path, words, begun, advice
):
    state_folder.make(tmp_path)
    (tmp_path / "ledger.sqlite").unlink()
    if begun:
        remembers(tmp_path, 7)

    done = CliRunner().invoke(app, [*words, "--state", str(tmp_path)])

    assert done.exit_code == 2
    assert advice in done.output
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_question_writes_nothing_into_the_ledger(tmp_path):
    """Who may only read a state folder gets an answer, too."""
    state_folder.make(tmp_path)
    before = (tmp_path / "ledger.sqlite").read_bytes()
    site = site_of(tmp_path, None)

    ledger = standing.open_reading(site)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        ledger._store.add(100, b"row", b"signature")
    ledger.close()
    assert (tmp_path / "ledger.sqlite").read_bytes() == before
    assert not (tmp_path / "memory.sqlite").exists()
