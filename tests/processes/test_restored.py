"""A coordinator restored from an old backup: sites have gone on since, and nothing is spent twice.

One federation is run to the middle of its programme, backed up while it serves, run on, and then
loses its database and its object store.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.config import Settings, read
from coordinator.rounds.state import Phase
from veilsum.cli import app

from .federation import Federation, federation

SEATS = {"ckks": (), "shares": ("seat-1", "seat-2", "seat-3")}


@dataclass
class Lost:
    """A federation whose coordinator has lost what it knew, and the backup from before."""

    made: Federation
    settings: Settings
    backup: Path

    def restore(self, *remembered: Path) -> None:
        """Put the backup into a new place, and start the coordinator there."""
        if "observer" in vars(self.made):
            vars(self.made).pop("observer").store.close()  # it looks at the database that is lost
        forget(self.settings)
        options = [word for path in remembered for word in ("--rounds", str(path))]
        command("coordinator restore", self.made._config, "--from", str(self.backup), *options)
        self.made.start_coordinator()

    def remembers(self, name: str) -> Path:
        """What a site remembers of rounds, as its operator writes it."""
        out = self.made.places.root / f"rounds-{name}"
        config = self.made.places.site(name) / "site.toml"
        command("participant rounds", config, "--out", str(out))
        return out


def command(words: str, config: Path, *options: str) -> str:
    """Run a command as an operator types it; return what it says."""
    said = CliRunner().invoke(app, [*words.split(), "--config", str(config), *options])
    assert said.exit_code == 0, said.output
    return said.output


def forget(settings: Settings) -> None:
    """Lose the database and the objects, and nothing else."""
    for path in Path(settings.database.removeprefix("sqlite:///")).parent.glob("*.sqlite*"):
        path.unlink()
    shutil.rmtree(settings.state / "objects")


def spent_by_all(made: Federation) -> dict[str, list[list[str]]]:
    """Return what each site has spent in the rounds before the loss; what it witnesses may grow."""
    return {name: [made.spending(name, number) for number in (1, 2)] for name in made.sites}


def run_to_the_loss(made: Federation) -> Lost:
    """Run a round, back up, run another one until all sites have it, and end the coordinator."""
    made.start()
    made.wait_for_phase(1, Phase.DONE)
    settings, backup = read(made._config), made.places.root / "backup"
    said = command("coordinator backup", made._config, "--out", str(backup))
    assert str(settings.signing_key) in said
    for name in made.sites:
        made.wait_for_log(name, "model_adopted", round=2)
    made.kill("coordinator")
    return Lost(made, settings, backup)


@pytest.mark.parametrize("scheme", ["ckks", pytest.param("shares", marks=pytest.mark.deep)])
def test_a_restored_coordinator_goes_on_from_what_sites_remember(tmp_path, scheme):
    """Round 2 was after the backup: it is learnt again, and round 3 or a later one is the third."""
    with federation(tmp_path, seats=SEATS[scheme], wanted=3) as made:
        lost = run_to_the_loss(made)
        committed = {name: made.spending(name, 2) for name in made.sites}

        lost.restore(*(lost.remembers(name) for name in made.sites))
        made.wait_for_end()

        done = [n for n, each in made.observer.rounds().items() if each.phase is Phase.DONE]
        assert len(done) == 3
        assert done[:2] == [1, 2]
        assert {made.newest_release(name) for name in made.sites} == {made.newest_release("site-a")}
        assert {name: made.spending(name, 2) for name in made.sites} == committed
        for number in range(1, max(done) + 1):
            assert all(made.spending(name, number).count("commit") <= 1 for name in made.sites)


def test_without_their_memory_sites_refuse_a_coordinator_that_is_behind_them(tmp_path):
    """They spend nothing for a round that they know, and say why; nothing is lost meanwhile."""
    with federation(tmp_path, wanted=3) as made:
        lost = run_to_the_loss(made)
        before = spent_by_all(made)

        lost.restore()
        for name in made.sites:
            made.wait_for_log(name, "declined", task="Contribute", code="policy_refusal")
            made.wait_for_log(name, "coordinator_behind", released=1, adopted=2)

        assert spent_by_all(made) == before

        made.kill("coordinator")
        for name in made.sites:
            made.kill(name)
        lost.restore(lost.remembers("site-b"))
        made.run_to_the_end()

        assert sum(each.phase is Phase.DONE for each in made.observer.rounds().values()) == 3
