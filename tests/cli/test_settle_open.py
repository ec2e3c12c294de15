"""A programme from nothing: contracts, terms, money, rounds, models; as its operator types it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator.adapters.chain import attach
from coordinator.settling.settle import Salts, Statement, statement
from tests.contracts.settlement_run import key, result
from tests.settling.coordinator_file import PASSPHRASE, coordinator_file, with_settlement
from veilsum.chain.endpoint import Endpoint, connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import load_key
from veilsum.cli import app
from veilsum.demo.chain import deploy_token, embedded_chain, give_gas

SUPPLY = 1_000_000
WINDOW_SECONDS = 60


@dataclass(frozen=True)
class Founded:
    """A chain with a token, and a coordinator's file that names no contract."""

    url: str
    endpoint: Endpoint
    folder: Path
    config: Path
    keystore: Path
    token: str
    addresses: dict[str, str]

    def run(self, *words: str) -> Any:
        return CliRunner().invoke(app, ["settle", *words])

    def said(self, *words: str) -> Any:
        ended = self.run(*words, "--json")
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)

    def deploy(self) -> dict[str, str]:
        made = self.said("deploy", "--config", str(self.config))
        return {each["name"]: each["address"] for each in made["contracts"]}

    def terms(self, **other: object) -> Path:
        values = {
            "contract": self.addresses["Settlement"],
            "token": self.token,
            "label": self.folder.name,
            "escrow": "1000",
            "end": datetime.fromtimestamp(time.time() + 86_400, UTC).isoformat(),
            "window_seconds": WINDOW_SECONDS,
            "response_seconds": 1,
            "bond": "500",
            "demand_bond": "10",
            **other,
        }
        path = self.folder / "programme.toml"
        path.write_text("".join(f"{name} = {json.dumps(it)}\n" for name, it in values.items()))
        return path

    def opened(self, terms: Path) -> Any:
        words = ("open", "--config", str(self.config), "--terms", str(terms))
        opened = self.said(*words)
        named = {name: opened[name] for name in ("contract", "programme", "escrow")}
        with_settlement(self.config, **named)
        return opened

    def nonce(self) -> int:
        account = load_key(self.keystore, PASSPHRASE).address
        return self.endpoint.web3.eth.get_transaction_count(account)

    def pass_time(self, seconds: int) -> None:
        now = self.endpoint.web3.eth.get_block("latest")["timestamp"]
        self.endpoint.web3.provider.make_request("testing_timeTravel", [now + seconds])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Founded]:
    """One chain with the contracts on it; each test has a journal and a programme of its own."""
    folder = tmp_path_factory.mktemp("shared")
    with embedded_chain() as url:
        endpoint, made = connect(url), key(folder, "coordinator")
        give_gas(endpoint, [made.address])
        journal = folder / "of-the-token"
        journal.mkdir()
        token = deploy_token(endpoint, made, FolderJournal(journal), SUPPLY)
        keystore = folder / "coordinator.json"
        config = coordinator_file(folder, url, endpoint.chain_id, keystore)
        found = Founded(url, endpoint, folder, config, keystore, token, {})
        yield replace(found, addresses=found.deploy())


@pytest.fixture
def founded(shared: Founded, tmp_path: Path) -> Founded:
    config = coordinator_file(tmp_path, shared.url, shared.endpoint.chain_id, shared.keystore)
    return replace(shared, folder=tmp_path, config=config)


def commit(founded: Founded, opened: Any, number: int, before: Statement | None) -> Statement:
    journal = FolderJournal(founded.folder / "state" / "transactions")
    made = load_key(founded.keystore, PASSPHRASE)
    chain = attach(founded.endpoint, made, journal, opened["contract"])
    payee, domain = "0x" + "a1" * 20, chain.domain(opened["programme"])
    salts = {payee: Salts(bytes([number]) * 32, bytes([number + 9]) * 32)}
    stated = statement(domain, before, result(number, 1), 100, {payee: 1}, salts)
    chain.commit(stated)
    return stated


def test_a_programme_is_opened_once_and_says_what_goes_into_files(founded: Founded) -> None:
    """Deploy, open, verify; each again sends nothing."""
    addresses = founded.deploy()
    opened = founded.opened(founded.terms(contract=addresses["Settlement"]))
    nonce = founded.nonce()

    assert founded.deploy() == addresses
    again = founded.run(
        "open", "--config", str(founded.config), "--terms", str(founded.folder / "programme.toml")
    )
    registry = ("--registry", addresses["ModelRegistry"])
    verified = founded.said("verify", "--config", str(founded.config), *registry)

    assert (opened["funded"], opened["bonded"]) == ("1000", "500")
    assert f'programme = "{opened["programme"]}"' in again.stdout
    assert founded.nonce() == nonce
    assert verified["programme"]["wrong"] == []
    stood = {each["name"]: each["address"] for each in verified["contracts"]["contracts"]}
    assert stood == addresses


def test_models_of_matured_rounds_are_registered_in_order_and_once(founded: Founded) -> None:
    """Whatever else is open; a round that has not matured waits for the next run."""
    opened = founded.opened(founded.terms())
    words = ("register", "--config", str(founded.config))
    words = (*words, "--registry", founded.addresses["ModelRegistry"])
    first = commit(founded, opened, 1, None)
    second = commit(founded, opened, 4, first)
    founded.pass_time(WINDOW_SECONDS)
    commit(founded, opened, 7, second)

    registered = founded.said(*words)["registered"]
    again = founded.run(*words)

    assert [(each["version"], each["round"]) for each in registered] == [(1, 1), (2, 4)]
    assert [each["model"] for each in registered] == [first.commit.model, second.commit.model]
    assert "nothing to register" in again.stdout


def test_what_is_not_by_the_settings_is_said_and_ends_with_3(founded: Founded) -> None:
    """A programme for other plans, or too little in escrow, is found before the first round."""
    founded.opened(founded.terms())
    with_settlement(founded.config, escrow="1001")

    ended = founded.run("verify", "--config", str(founded.config), "--set", "model.dimension=40000")

    assert ended.exit_code == 3
    assert "it pays for plans of arithmetic" in ended.stdout
    assert "settlement.escrow is 1001, and 1000 are funded" in ended.stdout


def test_a_key_with_too_few_tokens_sends_nothing(founded: Founded) -> None:
    """Half an opened programme helps nobody; what is missing is said."""
    nonce = founded.nonce()
    terms = founded.terms(escrow=str(SUPPLY))
    words = ("open", "--config", str(founded.config), "--terms", str(terms))

    ended = founded.run(*words)
    others = founded.said(*words, "--no-fund")

    assert ended.exit_code == 2
    said = " ".join(ended.output.split())
    assert f"units of the token {founded.token}" in said
    assert f"need {SUPPLY + 500} more" in said
    assert (others["funded"], others["bonded"]) == ("0", "500")
    assert founded.nonce() == nonce + 3


@pytest.mark.parametrize(
    ("other", "status", "message"),
    [
        ({"token": "0x" + "12" * 20}, 3, "no contract stands at 0x1212"),
        ({"contract": "0x" + "12" * 20}, 3, "is not that of Settlement"),
        ({"end": "2020-01-01T00:00:00Z"}, 2, "leave more than window_seconds"),
    ],
)
def test_terms_that_the_chain_contradicts_send_nothing(
    founded: Founded, other: dict[str, str], status: int, message: str
) -> None:
    """The contract would refuse without saying which."""
    terms = founded.terms(**other)
    nonce = founded.nonce()

    ended = founded.run("open", "--config", str(founded.config), "--terms", str(terms))

    assert ended.exit_code == status
    assert message in " ".join(ended.output.split())
    assert founded.nonce() == nonce


def test_contracts_are_deployed_and_verified_without_a_file(founded: Founded) -> None:
    """For who deploys for a consortium, and for who only wants to look."""
    typed = (
        "deploy",
        *("--rpc", founded.url),
        *("--keystore", str(founded.keystore)),
        *("--passphrase", str(founded.folder / "passphrase")),
        *("--transactions", str(founded.folder / "mine")),
    )

    made = founded.said(*typed)
    addresses = {each["name"]: each["address"] for each in made["contracts"]}
    looked = ("verify", "--rpc", founded.url, "--contract", addresses["Settlement"])
    found = founded.said(*looked, "--registry", addresses["ModelRegistry"])
    wrong = founded.run("verify", "--rpc", founded.url, "--contract", addresses["SumVerifier"])
    others = founded.run(*looked, "--registry", founded.addresses["ModelRegistry"])

    assert made["final"]
    assert {each["name"] for each in found["contracts"]["contracts"]} == set(addresses)
    assert (wrong.exit_code, others.exit_code) == (3, 3)
    assert "is of the settlement" in " ".join(others.output.split())
    assert founded.said(*typed)["contracts"] == made["contracts"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["deploy"], "name a file with --config, or set --rpc, --keystore"),
        (["deploy", "--rpc", "http://127.0.0.1:1"], "name a file with --config"),
        (["deploy", "--config", "x/site.toml", "--rpc", "http://a"], "leave out --rpc"),
        (["verify"], "name a file with --config, or set --rpc and --contract"),
        (["verify", "--config", "x/site.toml", "--contract", "0x1"], "leave out --rpc"),
        (["verify", "--rpc", "http://127.0.0.1:1", "--contract", "0x00"], "--contract: '0x00'"),
        (["verify", "--config", "x/site.toml", "--registry", "0x1"], "--registry: '0x1' is no"),
        (["register", "--config", "x/site.toml", "--registry", "0x1"], "--registry: '0x1' is no"),
    ],
)
def test_a_mistake_ends_before_anything_is_asked(words: list[str], message: str) -> None:
    """No chain is needed to be told."""
    ended = CliRunner().invoke(app, ["settle", *words])

    assert ended.exit_code == 2
    assert message in " ".join(ended.output.split())


def test_a_programme_is_opened_for_a_coordinator_alone(tmp_path: Path) -> None:
    """What sites contribute, and whose key commits, stands in its file."""
    terms = tmp_path / "programme.toml"
    terms.write_text(
        f'contract = "0x{"11" * 20}"\ntoken = "0x{"22" * 20}"\nescrow = "1"\n'
        'end = "2027-01-01T00:00:00Z"\nwindow_seconds = 3\nresponse_seconds = 1\n'
        'bond = "1"\ndemand_bond = "1"\n'
    )
    config = tmp_path / "operator.toml"

    ended = CliRunner().invoke(
        app, ["settle", "open", "--config", str(config), "--terms", str(terms)]
    )

    assert ended.exit_code == 2
    assert "name the file after whose settings it has" in " ".join(ended.output.split())
