"""A programme on a chain in this process, and the names of the errors with which it refuses."""

import ast
from dataclasses import dataclass
from pathlib import Path

from eth_tester import EthereumTester
from eth_tester.exceptions import TransactionFailed
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector
from web3 import Web3
from web3.contract.contract import Contract, ContractFunction

from coordinator.settling.settle import Head, Statement, Terms, programme_of, statement
from privacy.payouts import Domain, Entitlement
from veilsum.chain.compiled import Artefact, load, parse

HOSTILE = Path(__file__).parent / "artifacts"
SUPPLY = 10**24
ESCROW = 1_000
RUNNING_SECONDS = 1_000
LABEL = b"\x07" * 32


def hostile(name: str) -> Artefact:
    return parse((HOSTILE / f"{name}.json").read_bytes())


@dataclass(frozen=True)
class Chain:
    web3: Web3
    tester: EthereumTester
    settlement: Contract

    def account(self, index: int) -> str:
        return self.web3.eth.accounts[index]

    def deploy(self, artefact: Artefact, *arguments: object) -> Contract:
        factory = self.web3.eth.contract(abi=artefact.abi, bytecode=artefact.bytecode)
        mined = self.web3.eth.wait_for_transaction_receipt(
            factory.constructor(*arguments).transact({"from": self.account(0)})
        )
        return factory(mined["contractAddress"])

    def send(self, call: ContractFunction, sender: str):
        mined = self.web3.eth.wait_for_transaction_receipt(
            call.transact({"from": sender, "gas": 1_000_000})
        )
        assert mined["status"] == 1
        return mined

    def refusal(self, call: ContractFunction, sender: str) -> str | None:
        """The name of the custom error with which `call` is refused; None if it is not."""
        try:
            call.call({"from": sender})
        except TransactionFailed as error:
            text = str(error.args[0]).removeprefix("execution reverted: ")
            return error_name(ast.literal_eval(text))
        return None

    def now(self) -> int:
        return self.web3.eth.get_block("latest")["timestamp"]


def error_name(data: bytes) -> str:
    for entry in load("Settlement").abi:
        if entry["type"] == "error":
            selector = function_signature_to_4byte_selector(abi_to_signature(entry))
            if selector == data[:4]:
                return entry["name"]
    return data.hex()


@dataclass(frozen=True)
class Programme:
    """An open, funded programme: account 0 funds, 1 coordinates, 2 to 5 are payees."""

    chain: Chain
    token: Contract
    terms: Terms
    id: str

    @property
    def word(self) -> bytes:
        return bytes.fromhex(self.id)

    @property
    def contract(self) -> Contract:
        return self.chain.settlement

    @property
    def domain(self) -> Domain:
        return Domain(self.chain.web3.eth.chain_id, self.contract.address.lower(), self.id)

    def payee(self, index: int) -> str:
        return self.chain.account(2 + index).lower()

    def state(self) -> tuple:
        return tuple(self.contract.functions.stateOf(self.word).call())

    def funded_committed_paid(self) -> tuple[int, int, int]:
        _, funded, _, committed, paid = self.state()
        return funded, committed, paid

    def head(self) -> Head:
        round_number, _, root, committed, _ = self.state()
        return Head(round_number, root, committed)

    def state_of(self, amounts: dict[str, int], round_number: int = 1) -> Statement:
        salts = {payee: bytes([round_number]) * 12 + bytes.fromhex(payee[2:]) for payee in amounts}
        return statement(self.domain, self.head(), round_number, amounts, salts)

    def commit_call(self, made: Statement) -> ContractFunction:
        head = made.head
        return self.contract.functions.commit(
            self.word, head.round, made.parent, head.root, head.total
        )

    def commit(self, amounts: dict[str, int], round_number: int = 1) -> Statement:
        made = self.state_of(amounts, round_number)
        self.chain.send(self.commit_call(made), self.terms.coordinator)
        return made

    def claim_call(self, one: Entitlement, **other: object) -> ContractFunction:
        fields = {
            "programme": self.word,
            "payee": self.chain.web3.to_checksum_address(one.payee),
            "cumulative": one.amount(),
            "salt": bytes.fromhex(one.salt),
            "proof": one.path(),
        }
        return self.contract.functions.claim(*{**fields, **other}.values())

    def claim(self, one: Entitlement, sender: str | None = None):
        return self.chain.send(self.claim_call(one), sender or self.chain.account(9))

    def balance(self, account: str) -> int:
        return self.token.functions.balanceOf(self.chain.web3.to_checksum_address(account)).call()


def open_programme(
    chain: Chain,
    token: Contract,
    *,
    escrow: int = ESCROW,
    label: bytes = LABEL,
    seconds: int = 1000,
) -> Programme:
    end = chain.now() + RUNNING_SECONDS
    terms = Terms(token.address, chain.account(1), chain.account(0), end, label)
    programme = Programme(chain, token, terms, programme_of(terms))
    functions = chain.settlement.functions
    fields = (terms.token, terms.coordinator, terms.funder, terms.end, terms.label)
    chain.send(functions.open(fields), chain.account(8))
    if escrow:
        chain.send(token.functions.approve(chain.settlement.address, escrow), chain.account(0))
        chain.send(functions.fund(programme.word, escrow), chain.account(0))
    return programme
