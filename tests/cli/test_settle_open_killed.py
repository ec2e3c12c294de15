"""SIGKILL at every step of `veilsum settle deploy` and `open`: run again, each has one effect."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from privacy.failpoints import PLACES
from tests.contracts.settlement_run import key
from tests.settling.coordinator_file import PASSPHRASE, coordinator_file
from tests.source_tree import ROOT
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Endpoint, checksummed, connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import load_key
from veilsum.demo.chain import deploy_token, embedded_chain, give_gas

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]

SUPPLY, ESCROW, BOND = 1_000_000, 1_000, 500
DEPLOYS, OPENS = 3, 5
"""Transactions: three contracts; open, and approve and fill the escrow and the bond."""

LIVES = 60
NEEDS_A_RIVAL = "chain.before_replace"
NOT_AWAITED = ("chain.before_final", "chain.after_final")
"""Of who waits for what is final: these commands say what is not final yet, and end."""

PLACES_OF_A_SEND = tuple(
    each
    for each in PLACES["sender"]
    if each.startswith("chain.") and each != NEEDS_A_RIVAL and each not in NOT_AWAITED
)

LIFE = """
import os, signal, sys
from functools import partial
from veilsum.cli import app
from veilsum.settling import deploying, opening
place, count, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
passed = []
def hit(name):
    passed.append(name)
    if passed.count(place) == count:
        os.kill(os.getpid(), signal.SIGKILL)
for each in (deploying, opening):
    each.reach = partial(each.reach, step=hit)
app(words)
"""


class Operator:
    """Somebody with a key and a file, who runs a command until it has come to its end."""

    def __init__(self, folder: Path, url: str, endpoint: Endpoint, keystore: Path, token: str):
        self.folder, self.endpoint, self.keystore, self.token = folder, endpoint, keystore, token
        self.config = coordinator_file(folder, url, endpoint.chain_id, keystore)
        self.address = load_key(keystore, PASSPHRASE).address
        self.deaths = 0

    def run(self, place: str, *words: str) -> dict:
        """Run a command again and again, killed at `place`, until it ends by itself."""
        count = 1
        for _ in range(LIVES):
            before = self.progress()
            command = [sys.executable, "-c", LIFE, place, str(count), "settle", *words, "--json"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            ended = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            if ended.returncode >= 0:
                assert ended.returncode == 0, ended.stdout + ended.stderr
                return json.loads(ended.stdout)
            self.deaths += 1
            # Where a life comes to the same place first, the next one dies one passage later.
            count = 1 if self.progress() != before else count + 1
        raise AssertionError(f"{LIVES} lives, and no end")

    def progress(self) -> tuple[int, int]:
        """How many transactions were mined, and how many files tell of them."""
        return self.nonce(), sum(1 for _ in (self.folder / "state").rglob("*"))

    def nonce(self) -> int:
        return self.endpoint.web3.eth.get_transaction_count(self.address)

    def tokens(self) -> int:
        token = self.endpoint.at(load("DemoToken"), self.token)
        return int(self.endpoint.read(token.functions.balanceOf(checksummed(self.address))))

    def terms(self, contract: str) -> Path:
        values = {
            "contract": contract,
            "token": self.token,
            "label": self.folder.name,
            "escrow": str(ESCROW),
            "end": datetime.fromtimestamp(time.time() + 86_400, UTC).isoformat(),
            "window_seconds": 60,
            "response_seconds": 1,
            "bond": str(BOND),
            "demand_bond": "10",
        }
        path = self.folder / "programme.toml"
        path.write_text("".join(f"{name} = {json.dumps(it)}\n" for name, it in values.items()))
        return path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Endpoint, Path, str]]:
    folder = tmp_path_factory.mktemp("chain")
    with embedded_chain() as url:
        endpoint, made = connect(url), key(folder, "coordinator")
        give_gas(endpoint, [made.address])
        journal = folder / "of-the-token"
        journal.mkdir()
        token = deploy_token(endpoint, made, FolderJournal(journal), SUPPLY)
        yield url, endpoint, folder / "coordinator.json", token


@pytest.mark.parametrize("place", PLACES_OF_A_SEND)
def test_an_operator_who_is_killed_at_each_step_deploys_once_and_opens_once(
    chain: tuple[str, Endpoint, Path, str], tmp_path: Path, place: str
) -> None:
    """No contract twice, no programme twice, and no token that is nowhere."""
    url, endpoint, keystore, token = chain
    operator = Operator(tmp_path, url, endpoint, keystore, token)
    nonce, tokens = operator.nonce(), operator.tokens()

    made = operator.run(place, "deploy", "--config", str(operator.config))
    deployed = operator.nonce()
    addresses = {each["name"]: each["address"] for each in made["contracts"]}
    terms = operator.terms(addresses["Settlement"])
    words = ("open", "--config", str(operator.config), "--terms", str(terms))
    opened = operator.run(place, *words)

    assert operator.deaths >= DEPLOYS + OPENS
    assert deployed - nonce == DEPLOYS
    assert operator.nonce() - deployed == OPENS
    assert (opened["funded"], opened["bonded"]) == (str(ESCROW), str(BOND))
    assert tokens - operator.tokens() == ESCROW + BOND
