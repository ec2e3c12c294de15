"""`veilsum settle`, as an operator types it, against a chain."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from privacy.settlement import accusation
from tests.contracts.settlement_run import BOND
from tests.participant.settling.test_challenge import Cheated, cheated_run
from tests.settling.settled_member import auditor_file
from veilsum.cli import app
from veilsum.demo.chain import embedded_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["settle", *words])


def said(*words: str) -> Any:
    ended = run(*words, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def written(cheated: Cheated, folder: Path) -> Path:
    path = folder / "proof.json"
    path.write_bytes(accusation.encode(cheated.proof()) + b"\n")
    return path


def test_a_challenge_is_one_command_and_the_standing_shows_it(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """From a proof file to the slashed bond; in words, and as objects."""
    url, folder = chain
    cheated = cheated_run(url, folder)
    config, proof = auditor_file(tmp_path, cheated.run, url), written(cheated, tmp_path)

    before = said("status", "--config", str(config))
    done = run("challenge", "--config", str(config), "--proof", str(proof))
    again = said("challenge", "--config", str(config), "--proof", str(proof))
    after = run("status", "--config", str(config))

    assert (before["state"], before["head"], before["bond"]["bonded"]) == ("running", 5, str(BOND))
    assert done.exit_code == 0, done.output
    assert f"slashed    {BOND} token units: {BOND // 2} to the challenger" in done.stdout
    assert (again["collected"], again["kind"]) == (str(BOND // 2), "bad_payout")
    assert "halted; round 5 was proved wrong; round 3 is the newest that stands" in after.stdout


def test_a_proof_that_proves_nothing_ends_with_3(chain: tuple[str, Path], tmp_path: Path) -> None:
    """By the table: the peer's fault, which made the proof."""
    url, folder = chain
    cheated = cheated_run(url, folder)
    config = auditor_file(tmp_path, cheated.run, url)
    (tmp_path / "proof.json").write_bytes(
        written(cheated, tmp_path).read_bytes().replace(b"bad_payout", b"bad_top")
    )

    ended = run("challenge", "--config", str(config), "--proof", str(tmp_path / "proof.json"))

    assert ended.exit_code == 3
    assert "proves nothing against round 5" in ended.output


def test_a_seat_bonds_with_its_own_key(chain: tuple[str, Path], tmp_path: Path) -> None:
    """And is told what it has, with and without an act."""
    url, folder = chain
    cheated = cheated_run(url, folder)
    config = str(auditor_file(tmp_path, cheated.run, url, key="coordinator"))
    # One key has one journal: the coordinator's own is elsewhere in this test, and is at rest.

    more = said("stake", "--config", config, "--bond-up-to", str(BOND + 1))
    shown = run("stake", "--config", config)

    assert more["stake"]["bonded"] == str(BOND + 1)
    assert len(more["sent"]) == 2
    assert f"{BOND + 1} bonded" in shown.stdout


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--bond-up-to", "1", "--withdraw"], 2, "one act at a time"),
        (["--collect", "--withdraw"], 2, "one act at a time"),
        ([], 2, "name the file after whose settings it has"),
    ],
)
def test_a_mistake_ends_before_anything_is_asked(
    tmp_path: Path, words: list[str], status: int, message: str
) -> None:
    """No chain is needed to be told."""
    path = tmp_path / "chain.toml"
    path.write_text("")

    ended = run("stake", "--config", str(path), *words)

    assert ended.exit_code == status
    assert message in " ".join(ended.output.split())
