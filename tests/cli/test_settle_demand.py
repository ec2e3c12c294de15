"""`veilsum settle demand` and `expire`, as whoever is shown nothing types them, against a chain."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from participant.settling.dossier import FOLDER, Dossier, Dossiers, Standing
from tests.contracts.settlement_run import BOND
from tests.participant.settling.test_demand import NODE, Committed, committed
from tests.settling.settled_member import auditor_file
from veilsum.cli import app
from veilsum.demo.chain import embedded_chain

AT = ("--round", "3", "--tree", "cohort", "--index", "1")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["settle", *words])


def of(here: Committed, folder: Path, url: str) -> str:
    return str(auditor_file(folder, here.run, url))


def test_silence_is_two_commands_and_the_bond_is_slashed(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """Demanded; too early it ends with 5; then the coordinator's bond is gone."""
    here = committed(*chain, response=600)
    config = of(here, tmp_path, chain[0])

    asked = run("demand", "--config", config, *AT, "--json")
    early = run("expire", "--config", config, *AT)
    here.run.pass_until(json.loads(asked.stdout)["deadline"])
    late = run("expire", "--config", config, *AT)
    shown = run("demand", "--config", config, *AT)

    assert (asked.exit_code, json.loads(asked.stdout)["state"]) == (0, "open")
    assert early.exit_code == 5
    assert late.exit_code == 0, late.output
    assert f"slashed    {BOND} token units: {BOND // 2} to the demander" in late.stdout
    assert "round 3 and all later ones are void" in late.stdout
    assert "expired    nobody answered it in time" in shown.stdout


def test_what_an_answer_has_earned_is_collected_by_a_command(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """The demand's bond is the coordinator's from then on, and stays in the vault till it asks."""
    here = committed(*chain)
    config = str(auditor_file(tmp_path, here.run, chain[0], key="coordinator"))
    # One key has one journal: the coordinator's own is elsewhere in this test, and is at rest.
    here.demander().demand(here.made.commit, NODE, b"")
    here.answer(NODE)
    before = here.run.balance(here.run.chain.key.address)

    shown = run("stake", "--config", config)
    owed = json.loads(run("stake", "--config", config, "--json").stdout)["stake"]["credit"]
    done = run("stake", "--config", config, "--collect", "--json")
    again = run("stake", "--config", config, "--collect", "--json")

    assert int(owed) >= 10
    assert f"{owed} to be collected" in shown.stdout
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["stake"]["credit"] == "0"
    assert here.run.balance(here.run.chain.key.address) == before + int(owed)
    assert json.loads(again.stdout)["sent"] == []


def test_an_answer_is_shown_and_cannot_expire(chain: tuple[str, Path], tmp_path: Path) -> None:
    here = committed(*chain)
    config = of(here, tmp_path, chain[0])
    opened = run("demand", "--config", config, *AT)
    here.answer(NODE)

    shown = run("demand", "--config", config, *AT)
    refused = run("expire", "--config", config, *AT)

    assert "to be answered until" in opened.stdout
    assert "answered   10 token units are the coordinator's" in shown.stdout
    assert refused.exit_code == 3


def test_what_nobody_demanded_does_not_expire(chain: tuple[str, Path], tmp_path: Path) -> None:
    config = of(committed(*chain), tmp_path, chain[0])

    assert run("expire", "--config", config, *AT).exit_code == 3


def test_without_a_dossier_it_is_said_where_to_get_one(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """What is no node of the cohort needs the arithmetic of the plans; one round's is all's."""
    here = committed(*chain)
    config = of(here, tmp_path, chain[0])
    words = ("demand", "--config", config, "--round", "3", "--tree", "sum_trees")

    before = run(*words)
    Dossiers(tmp_path / "auditor" / FOLDER).keep(Dossier(round=2, arithmetic="ab"))
    after = run(*words)

    assert before.exit_code == 2
    assert "run `veilsum audit sum`" in " ".join(before.output.split())
    assert after.exit_code == 3, "the contract knows no such node under that arithmetic"


def test_what_was_found_of_commits_is_in_the_standing(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """The log has said it once; whoever asks later is told as well."""
    config = of(committed(*chain), tmp_path, chain[0])
    dossiers = Dossiers(tmp_path / "auditor" / FOLDER)
    dossiers.keep(Dossier(round=2, standing=Standing.SOUND))
    dossiers.keep(Dossier(round=3, standing=Standing.WITHHELD, reason="demand it: so"))

    told = run("status", "--config", config)

    lines = [line for line in told.stdout.splitlines() if line.startswith("looked at")]
    assert lines == ["looked at  round 3: withheld: demand it: so", "looked at  round 2: sound"]


def test_a_tree_that_there_is_not_is_the_command_lines_mistake(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    config = of(committed(*chain), tmp_path, chain[0])

    ended = run("demand", "--config", config, "--round", "3", "--tree", "oak")

    assert ended.exit_code == 2
    assert "--tree oak" in ended.output
