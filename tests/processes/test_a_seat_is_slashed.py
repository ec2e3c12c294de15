"""From one false bit of a seat's sum to its bond: by processes, and by people's commands.

One round. The seat pledges for the sum that it states; the auditor finds the lie; two judges sign,
and anyone carries it out. The sites' model is released meanwhile, and is exact.
"""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from eth_account.signers.local import LocalAccount
from typer.testing import CliRunner

from coordinator.adapters.chain import deploy
from coordinator.config import read
from coordinator.rounds.state import Phase
from coordinator.settling.settle import Terms
from coordinator.settling.shape import shape_of
from participant.settling.programme import Programme, programme_at
from tests.contracts.settlement_run import LIGHT
from tests.processes.federation import Federation, federation
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Endpoint, checksummed, connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import make_key
from veilsum.cli import app
from veilsum.demo.chain import deploy_token, embedded_chain, give_gas

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AUDITOR = "watch"
SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
LIAR = "seat-2"
OF_A_LIE = ("accused", "no_pledge", "nobody_accused", "not_accused")
"""What an auditor says behind its ruling: one of these."""
BOND, SEAT_BOND, ESCROW = 500, 300, 900


@dataclass
class Settled:
    """A federation that settles on a chain, and who answers for what there."""

    made: Federation
    folder: Path
    url: str
    endpoint: Endpoint
    token: str
    programme: Programme
    keys: dict[str, LocalAccount]

    def section(self, name: str) -> dict[str, object]:
        return {
            "rpc": self.url,
            "chain_id": self.endpoint.chain_id,
            "contract": str(self.programme.settlement.address).lower(),
            "programme": self.programme.word.hex(),
            "keystore": str(self.folder / f"{name}.json"),
            "passphrase": str(self.folder / "passphrase"),
            "finality_blocks": 0,
        }

    def member(self, name: str) -> Path:
        """The auditor's file with somebody else's key: whoever is a member may judge."""
        home = self.made.places.site(AUDITOR)
        path = self.folder / name / "auditor.toml"
        path.parent.mkdir()
        _settle_in(home / "auditor.toml", self.section(name), path)
        return path


def _settle_in(path: Path, section: dict[str, object], out: Path | None = None) -> None:
    settings = tomlkit.parse(path.read_text())
    settings["settlement"] = section
    (out or path).write_text(tomlkit.dumps(settings))


def _opened(made: Federation, folder: Path, url: str) -> Settled:
    endpoint, passphrase = connect(url), secrets.token_hex(16)
    (folder / "passphrase").write_text(passphrase)
    (folder / "passphrase").chmod(0o600)
    names = ("coordinator", LIAR, AUDITOR, "judge-1", "judge-2", "anyone")
    keys = {
        name: make_key(folder / f"{name}.json", passphrase, work_factor=LIGHT) for name in names
    }
    give_gas(endpoint, [keys[name].address for name in ("coordinator", LIAR, "anyone")])
    journal = FolderJournal(folder / "journal")
    (folder / "journal").mkdir()
    token = deploy_token(endpoint, keys["coordinator"], journal, 10_000)
    chain = deploy(endpoint, keys["coordinator"], journal)
    shape = shape_of(read(made.places.coordinator / "coordinator.toml"))
    programme = chain.open(
        Terms(
            token=token,
            coordinator=keys["coordinator"].address,
            funder=keys["coordinator"].address,
            end=int(time.time()) + 86_400,
            window=3600,
            response=1,
            bond=BOND,
            demand_bond=1_000_000,
            arithmetic=shape.arithmetic,
            leaves_per_chunk=shape.leaves_per_chunk,
            last_chunk_leaves=shape.last_chunk_leaves,
            label=secrets.token_bytes(32),
            judges=tuple(sorted(keys[f"judge-{each}"].address.lower() for each in (1, 2))),
            judges_quorum=2,
        )
    )
    chain.fund(programme, ESCROW)
    chain.bond(programme, BOND)
    on_chain = programme_at(endpoint, str(chain.contract.address), programme)
    given = endpoint.at(load("DemoToken"), token).functions.transfer(
        checksummed(keys[LIAR].address), SEAT_BOND
    )
    endpoint.send(keys["coordinator"], journal, "give", given)
    return Settled(made, folder, url, endpoint, token, on_chain, keys)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    folder = tmp_path_factory.mktemp("slashed")
    keys = folder / "chain"
    keys.mkdir()
    with (
        embedded_chain() as url,
        federation(
            folder / "run", SITES, seats=SEATS, auditor=AUDITOR, quorum=3, paid=True
        ) as made,
    ):
        found = _opened(made, keys, url)
        home = made.places
        coordinator = {**found.section("coordinator"), "escrow": str(ESCROW)}
        _settle_in(home.coordinator / "coordinator.toml", coordinator)
        _settle_in(home.site(AUDITOR) / "auditor.toml", found.section(AUDITOR))
        _settle_in(home.site(LIAR) / "aggregator.toml", found.section(LIAR))
        staked = run(
            "stake",
            *("--config", home.site(LIAR) / "aggregator.toml", "--bond-up-to", SEAT_BOND),
        )
        assert staked.exit_code == 0, staked.output
        made.start_coordinator()
        made.start_auditor(AUDITOR)
        for name in SEATS:
            made.start_seat(name, double="lying_seat" if name == LIAR else "")
        for name in SITES:
            made.start_site(name)
        made.wait_for_log("coordinator", "round_settled")
        yield found


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["settle", *map(str, words)])


def test_a_lie_in_one_bit_costs_the_seat_its_bond(settled: Settled, tmp_path: Path) -> None:
    """With the commands of the auditor, of two judges and of anyone; nobody looks at a word."""
    made, programme = settled.made, settled.programme
    current = made.round(1)
    assert current is not None
    assert (current.phase, current.liars) == (Phase.DONE, (LIAR,))
    assert made.difference(1) == {0}
    made.wait_for_log(LIAR, "pledged", round=1)

    accused = run("accuse", "--config", made.places.site(AUDITOR) / "auditor.toml", "--round", 1)
    assert accused.exit_code == 0, accused.output
    evidence = made.places.site(AUDITOR) / "evidence" / f"000001-{LIAR}.json"
    verdicts = []
    for name in ("judge-1", "judge-2"):
        out = tmp_path / f"{name}.json"
        said = run("judge", "--config", settled.member(name), "--evidence", evidence, "--out", out)
        assert said.exit_code == 0, said.output
        verdicts += ["--verdict", out]
    done = run(
        "judge",
        *("--config", settled.member("anyone"), "--evidence", evidence, "--submit", *verdicts),
        "--json",
    )

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["slashed"] == str(SEAT_BOND)
    assert programme.stake_of(settled.keys[LIAR].address).bonded == 0
    assert programme.stake_of(settled.keys["coordinator"].address).bonded == BOND
    assert programme.state().is_void(1)


def test_the_auditor_wrote_evidence_by_itself(settled: Settled) -> None:
    """Or said why not: a pledge may come after its ruling."""
    made = settled.made

    made.wait_for("what comes of a ruling", lambda: any(made.log(AUDITOR, e) for e in OF_A_LIE))

    (ruled,) = made.log(AUDITOR, "ruled")
    (said,) = [each for event in OF_A_LIE for each in made.log(AUDITOR, event)]
    assert ruled["code"] == "seat_lied"
    assert (said["event"] == "nobody_accused") or (said["seat"] == LIAR)
