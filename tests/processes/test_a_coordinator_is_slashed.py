"""From what a coordinator did to one contribution to its bond: by processes, by people's commands.

Three sites and an auditor, one round, and a chain. The sum that was audited and opened is right;
what the coordinator commits to of it, or keeps to itself, is not.
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from eth_account.signers.local import LocalAccount
from typer.testing import CliRunner
from web3.types import RPCEndpoint

from coordinator.adapters.chain import SettlementChain, attach, deploy
from coordinator.config import read
from coordinator.settling.settle import Terms
from coordinator.settling.shape import shape_of
from participant.settling.dossier import Standing
from participant.settling.programme import Programme, programme_at
from privacy.errors import ConfigError, ProtocolError, Unavailable
from tests.contracts.settlement_run import LIGHT
from tests.processes.alive import wait_until
from tests.processes.federation import Federation, federation
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Endpoint, checksummed, connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import load_key, make_key
from veilsum.cli import app
from veilsum.demo.chain import deploy_token, embedded_chain, give_gas
from veilsum.process import EXIT_CODES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AUDITOR = "watch"
SITES = ("site-a", "site-b", "site-c")
DROPPED = "site-c"
ROUND = 1
ESCROW, BOND, DEMAND_BOND = 900, 500, 40
WINDOW_SECONDS, RESPONSE_SECONDS = 120, 8
STEP_SECONDS = 60.0

PATIENT = {"progress_seconds": "30", "abandon_seconds": "60"}
"""Each round waits for all three, though two would do: of three one can be dropped."""

FOUND = 2
"""What `audit sum` ends with where it has written a proof."""

REFUSED = EXIT_CODES[ProtocolError]
NOT_YET = EXIT_CODES[Unavailable]
NOTHING_KEPT = EXIT_CODES[ConfigError]
"""What `settle claim --offline` ends with at a site that was offered nothing."""


@dataclass(frozen=True)
class Chain:
    """A chain with the contracts on it, and a founder who has all tokens."""

    url: str
    endpoint: Endpoint
    founder: SettlementChain
    token: str

    def balance(self, address: str) -> int:
        """Return the tokens of an account."""
        held = self._token().functions.balanceOf(checksummed(address))
        return int(self.endpoint.read(held))

    def give(self, address: str, amount: int) -> None:
        """Give an account tokens, and ether for gas."""
        give_gas(self.endpoint, [address])
        given = self._token().functions.transfer(checksummed(address), amount)
        self.endpoint.send(self.founder.key, self.founder.journal, f"give-{address.lower()}", given)

    def pass_until(self, moment: int) -> None:
        """Move the chain's own time to Unix time `moment`."""
        answer = self.endpoint.web3.provider.make_request(
            RPCEndpoint("testing_timeTravel"), [moment + 2]
        )
        assert "error" not in answer, answer

    def _token(self) -> Any:
        return self.endpoint.at(load("DemoToken"), self.token)


@dataclass(frozen=True)
class Settled:
    """A federation whose one round is committed, and its programme."""

    made: Federation
    chain: Chain
    programme: Programme
    keys: dict[str, LocalAccount]

    def config(self, name: str) -> Path:
        """Return the file of the auditor, or of a site."""
        return self.made.places.site(name) / ("auditor.toml" if name == AUDITOR else "site.toml")

    def run(self, name: str, *words: object) -> "Ended":
        """Run a command with the file of the auditor, or of a site."""
        typed = [*map(str, words[:2]), "--config", str(self.config(name)), *map(str, words[2:])]
        done = CliRunner().invoke(app, [*typed, "--json"])
        return Ended(done.exit_code, json.loads(done.stdout))

    def address(self, name: str) -> str:
        """Return the account that sends what the auditor, or a site, has to send."""
        return str(self.keys[name].address)

    def bonded(self) -> int:
        """Return what the coordinator has at stake."""
        return self.programme.stake_of(self.keys["coordinator"].address).bonded

    def wait_for_log(self, name: str, event: str) -> None:
        """Return when it is logged; an agent that has found a false commit may end with that."""
        try:
            wait_until(lambda: bool(self.made.log(name, event)), STEP_SECONDS)
        except AssertionError as late:
            raise AssertionError(f"{event} of {name}: {late}\n{self.made.tail()}") from None

    def pass_the_window(self) -> None:
        """Let the time pass in which the round can be challenged."""
        round_ = self.programme.round(ROUND)
        assert round_ is not None
        self.chain.pass_until(round_.matures_at)

    def paid(self) -> list[int]:
        """Return what each site has been paid."""
        roster = self.made.roster
        return [self.chain.balance(roster.member(name).payout_address) for name in SITES]

    def require_void(self) -> None:
        """Return if nobody is paid for the round, with the coordinator's help or without."""
        self.wait_for_log("coordinator", "round_void")
        self.pass_the_window()
        for name in SITES:
            assert self.run(name, "settle", "claim").status == REFUSED
            assert self.run(name, "settle", "claim", "--offline").status in (REFUSED, NOTHING_KEPT)
        assert self.programme.state().void_from == ROUND
        assert self.paid() == [0, 0, 0]


@dataclass(frozen=True)
class Ended:
    """What a command ended with, and what it said."""

    status: int
    said: Any


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain for each test: each moves its time."""
    folder = tmp_path / "founder"
    folder.mkdir()
    with embedded_chain() as url:
        endpoint = connect(url)
        key = make_key(folder / "key.json", "of the test", work_factor=LIGHT)
        give_gas(endpoint, [key.address])
        journal = FolderJournal(folder)
        token = deploy_token(endpoint, key, journal, 1_000_000)
        yield Chain(url, endpoint, deploy(endpoint, key, journal), token)


@contextmanager
def settled(chain: Chain, folder: Path, double: str = "") -> Iterator[Settled]:
    """Give a federation whose coordinator is the product's, or a double, once it has committed."""
    with federation(folder, SITES, auditor=AUDITOR, paid=True, deadline=PATIENT) as made:
        one = _opened(chain, made)
        made.start_coordinator(double=double)
        made.start_auditor(AUDITOR)
        for name in SITES:
            made.start_site(name)
        made.wait_for_log("coordinator", "round_settled", round=ROUND)
        yield one


def _opened(chain: Chain, made: Federation) -> Settled:
    """Open a programme for a federation, fund it, bond, and write all of it into their files."""
    places, contract = made.places, str(chain.founder.contract.address).lower()
    keys = {
        "coordinator": _new_key(places.coordinator),
        AUDITOR: _new_key(places.site(AUDITOR)),
        **{name: _gas_key(places.site(name)) for name in SITES},
    }
    chain.give(keys["coordinator"].address, ESCROW + BOND)
    chain.give(keys[AUDITOR].address, DEMAND_BOND)
    give_gas(chain.endpoint, [keys[name].address for name in SITES])
    opening = _attached(chain, places.coordinator, keys["coordinator"])
    programme = opening.open(_terms(chain, made, keys["coordinator"].address))
    opening.fund(programme, ESCROW)
    opening.bond(programme, BOND)
    access = {
        "rpc": chain.url,
        "chain_id": chain.endpoint.chain_id,
        "contract": contract,
        "programme": programme,
        "finality_blocks": 0,
    }
    _settle_in(places.coordinator / "coordinator.toml", access, "key", escrow=str(ESCROW))
    _settle_in(places.site(AUDITOR) / "auditor.toml", access, "key")
    for name in SITES:
        payee = made.roster.member(name).payout_address
        _settle_in(places.site(name) / "site.toml", access, "gas", payee=payee)
    return Settled(made, chain, programme_at(chain.endpoint, contract, programme), keys)


def _terms(chain: Chain, made: Federation, coordinator: str) -> Terms:
    shape = shape_of(read(made.places.coordinator / "coordinator.toml"))
    return Terms(
        token=chain.token,
        coordinator=coordinator.lower(),
        funder=coordinator.lower(),
        end=int(time.time()) + 86_400,
        window=WINDOW_SECONDS,
        response=RESPONSE_SECONDS,
        bond=BOND,
        demand_bond=DEMAND_BOND,
        arithmetic=shape.arithmetic,
        leaves_per_chunk=shape.leaves_per_chunk,
        last_chunk_leaves=shape.last_chunk_leaves,
        label=secrets.token_bytes(32),
    )


def _attached(chain: Chain, home: Path, key: LocalAccount) -> SettlementChain:
    journal = home / "founding"
    journal.mkdir()
    return attach(chain.endpoint, key, FolderJournal(journal), str(chain.founder.contract.address))


def _new_key(home: Path) -> LocalAccount:
    (home / "passphrase").write_text(secrets.token_hex(32))
    (home / "passphrase").chmod(0o600)
    return make_key(home / "key.json", (home / "passphrase").read_text(), work_factor=2)


def _gas_key(home: Path) -> LocalAccount:
    return load_key(home / "gas.json", (home / "passphrase").read_text())


def _settle_in(path: Path, access: dict[str, Any], key: str, **more: str) -> None:
    home, settings = path.parent, tomlkit.parse(path.read_text())
    keystore = {"keystore": str(home / f"{key}.json"), "passphrase": str(home / "passphrase")}
    settings["settlement"] = {**access, **keystore, **more}
    path.write_text(tomlkit.dumps(settings))


@pytest.mark.parametrize("double", ["dropping_coordinator", "unpaying_coordinator"])
@pytest.mark.deep
def test_a_coordinator_that_drops_a_contribution_is_slashed_by_its_site(
    chain: Chain, tmp_path: Path, double: str
) -> None:
    """From the sum, or from the commit alone: its agent finds it by itself, by its receipt."""
    with settled(chain, tmp_path / "run", double) as found:
        found.wait_for_log(DROPPED, "false_commit")
        home = found.made.places.site(DROPPED)

        done = found.run(DROPPED, "settle", "challenge", "--proof", home / f"proof-{ROUND}.json")

        (receipt,) = found.made.log(DROPPED, "receipt_kept")
        (sent,) = found.made.log("coordinator", "round_settled")
        assert str(receipt["timestamp"]) < str(sent["timestamp"])
        assert (done.status, done.said["kind"], done.said["slashed"]) == (0, "omitted", str(BOND))
        assert done.said["collected"] == str(BOND // 2)
        assert chain.balance(found.address(DROPPED)) == BOND // 2
        assert found.bonded() == 0
        found.require_void()


def test_a_coordinator_that_adds_one_contribution_twice_is_slashed_by_its_auditor(
    chain: Chain, tmp_path: Path
) -> None:
    """Each site finds its own leaf as it sent it: only who adds everything again can see this."""
    with settled(chain, tmp_path / "run", "doubling_coordinator") as found:
        assert found.made.difference(ROUND) == {0}
        for name in SITES:
            found.wait_for_log(name, "commit_checked")
        proof = tmp_path / "proof.json"

        audited = found.run(AUDITOR, "audit", "sum", "--round", ROUND, "--out", proof)
        done = found.run(AUDITOR, "settle", "challenge", "--proof", proof)

        assert (audited.status, audited.said["commit"]["proof"]) == (FOUND, "bad_sum")
        assert "node 0 of level 1 is not the sum" in audited.said["commit"]["reason"]
        assert (done.status, done.said["slashed"]) == (0, str(BOND))
        assert chain.balance(found.address(AUDITOR)) == DEMAND_BOND + BOND // 2
        assert found.bonded() == 0
        found.require_void()


@pytest.mark.deep
def test_a_coordinator_that_shows_nothing_is_slashed_when_its_time_is_over(
    chain: Chain, tmp_path: Path
) -> None:
    """The node to demand is the auditor's finding; its bond comes back with half of the other."""
    with settled(chain, tmp_path / "run", "withholding_coordinator") as found:
        audited = found.run(AUDITOR, "audit", "sum", "--round", ROUND)
        node = audited.said["commit"]["demand"]
        place = [word for name, at in node.items() for word in (f"--{name}", at)]
        demanded = found.run(AUDITOR, "settle", "demand", "--round", ROUND, *place)
        paid = chain.balance(found.address(AUDITOR))
        early = found.run(AUDITOR, "settle", "expire", "--round", ROUND, *place)
        wait_until(lambda: found.programme.time() >= demanded.said["deadline"], STEP_SECONDS)

        done = found.run(AUDITOR, "settle", "expire", "--round", ROUND, *place)

        assert (audited.status, audited.said["commit"]["standing"]) == (REFUSED, Standing.WITHHELD)
        assert (demanded.status, demanded.said["state"], paid) == (0, "open", 0)
        assert early.status == NOT_YET
        assert (done.status, done.said["slashed"]) == (0, str(BOND))
        assert chain.balance(found.address(AUDITOR)) == DEMAND_BOND + BOND // 2
        assert found.bonded() == 0
        found.require_void()


@pytest.mark.deep
def test_an_honest_coordinator_keeps_its_bond_and_its_sites_are_paid(
    chain: Chain, tmp_path: Path
) -> None:
    """Beside the others: by the same commands nothing is found, and each site has its third."""
    with settled(chain, tmp_path / "run") as found:
        for name in SITES:
            found.wait_for_log(name, "commit_checked")
        audited = found.run(AUDITOR, "audit", "sum", "--round", ROUND)
        early = found.run(SITES[0], "settle", "claim")
        found.pass_the_window()

        claimed = [found.run(name, "settle", "claim") for name in SITES]

        assert (audited.status, audited.said["commit"]["standing"]) == (0, Standing.SOUND)
        assert early.status == NOT_YET
        assert [each.status for each in claimed] == [0, 0, 0]
        assert found.paid() == [ESCROW // 3] * 3
        assert found.bonded() == BOND
