"""A programme on a chain in this process, and the names of the errors with which it refuses."""

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_tester import EthereumTester
from eth_tester.exceptions import TransactionFailed
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector
from eth_utils.crypto import keccak
from web3 import Web3
from web3.contract.contract import Contract, ContractFunction

from privacy.settlement.payouts import PayoutTree, tree
from veilsum.chain.compiled import Artefact, load, parse

HOSTILE = Path(__file__).parent / "artifacts"
SUPPLY = 10**24
ESCROW = 1_000
BOND = 500
DEMAND_BOND = 7
WINDOW = 100
RESPONSE = 30
RUNNING_SECONDS = 1_000
LABEL = b"\x07" * 32
NOTHING = b"\0" * 32
NOBODY = "0x" + "00" * 20
BURNED = "0x000000000000000000000000000000000000dEaD"

GUILTY = b"guilty"
ARITHMETIC = b"the arithmetic part of a plan"
BAD_SUM = 0

TERMS = (
    "(address,address,address,address,address[],uint8,uint64,uint64,uint64,uint128,uint128,"
    "bytes32,uint32,uint32,bytes32)"
)
COMMIT = (
    "(bytes32,uint64,bytes32,uint32,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint128,"
    "uint128,uint128)"
)
SHIPPED = ("Settlement", "StakeVault", "ModelRegistry", "DemoToken")


def hostile(name: str) -> Artefact:
    return parse((HOSTILE / f"{name}.json").read_bytes())


def judge(number: int) -> LocalAccount:
    return Account.from_key(bytes([number + 1]) * 32)


@dataclass(frozen=True)
class Terms:
    """The terms of a programme, in the contract's order."""

    token: str
    coordinator: str
    funder: str
    guardian: str
    judges: tuple[str, ...]
    quorum: int
    end: int
    window: int = WINDOW
    response: int = RESPONSE
    bond: int = BOND
    demand_bond: int = DEMAND_BOND
    arithmetic: bytes = hashlib.sha256(ARITHMETIC).digest()
    leaves_per_chunk: int = 64
    last_chunk_leaves: int = 3
    label: bytes = LABEL

    def fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)


@dataclass(frozen=True)
class Commit:
    """What the coordinator says of a round, in the contract's order."""

    programme: bytes
    round: int
    parent: bytes
    slots: int
    plan: bytes
    cohort: bytes
    sum_trees: bytes
    sum: bytes
    model: bytes
    payouts: bytes
    total: int
    budget: int
    scores: int

    def fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def digest(self) -> bytes:
        return keccak(encode([COMMIT], [self.fields()]))


@dataclass(frozen=True)
class Payout:
    """What one payee shows to be paid."""

    round: int
    payee: str
    cumulative: int
    salt: bytes
    entry: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class Made:
    """A commit, and what each payee was handed."""

    commit: Commit
    payouts: tuple[Payout, ...]


@dataclass(frozen=True)
class Chain:
    web3: Web3
    tester: EthereumTester
    settlement: Contract
    vault: Contract
    registry: Contract

    def account(self, index: int) -> str:
        return self.web3.eth.accounts[index]

    def deploy(self, artefact: Artefact, *arguments: object) -> Contract:
        return _deploy(self.web3, artefact, *arguments)

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

    def until(self, moment: int) -> None:
        """Make `moment` the time at which calls run; a transaction is a second later."""
        self.tester.time_travel(moment)
        self.tester.mine_block()


def _deploy(web3: Web3, artefact: Artefact, *arguments: object) -> Contract:
    factory = web3.eth.contract(abi=artefact.abi, bytecode=artefact.bytecode)
    mined = web3.eth.wait_for_transaction_receipt(
        factory.constructor(*arguments).transact({"from": web3.eth.accounts[0]})
    )
    return factory(mined["contractAddress"])


def new_chain(web3: Web3, tester: EthereumTester) -> Chain:
    """A chain with all contracts, and a verifier that does as it is told."""
    verifier = _deploy(web3, hostile("ObedientVerifier"))
    settlement = _deploy(web3, load("Settlement"), verifier.address)
    registry = _deploy(web3, load("ModelRegistry"), settlement.address)
    vault = web3.eth.contract(
        address=settlement.functions.vault().call(), abi=load("StakeVault").abi
    )
    return Chain(web3, tester, settlement, vault, registry)


@cache
def _errors() -> dict[bytes, str]:
    entries = [entry for name in SHIPPED for entry in load(name).abi if entry["type"] == "error"]
    return {
        function_signature_to_4byte_selector(abi_to_signature(entry)): entry["name"]
        for entry in entries
    }


def error_name(data: bytes) -> str:
    return _errors().get(data[:4], data.hex())


def entry_of(salt: bytes) -> bytes:
    """Some entry; what it must be is the verifier's business."""
    return keccak(b"entry" + salt)


@dataclass(frozen=True)
class Programme:
    """An open, funded, bonded programme: account 0 funds, 1 coordinates, 2 to 5 are payees,
    6 guards, 7 challenges, 8 and 9 are strangers."""

    chain: Chain
    token: Contract
    terms: Terms
    word: bytes

    @property
    def contract(self) -> Contract:
        return self.chain.settlement

    @property
    def call(self):
        return self.contract.functions

    @property
    def vault(self):
        return self.chain.vault.functions

    def payee(self, index: int) -> str:
        return self.chain.account(2 + index)

    def state(self) -> dict[str, object]:
        names = ("funded", "paid", "settled", "head", "void_from")
        return dict(zip(names, self.call.stateOf(self.word).call(), strict=True))

    def head(self) -> tuple[int, bytes, int]:
        return tuple(self.call.headOf(self.word).call())

    def funded_committed_paid(self) -> tuple[int, int, int]:
        state = self.state()
        return state["funded"], self.head()[2], state["paid"]

    def leaf(self, payee: str, cumulative: int, salt: bytes, entry: bytes) -> bytes:
        return payout_leaf(
            self.chain.web3.eth.chain_id,
            self.contract.address,
            self.word,
            payee,
            cumulative,
            salt,
            entry,
        )

    def make(self, amounts: Mapping[str, int], round_number: int = 1) -> Made:
        """The honest commit of `amounts` after the head, and its payouts."""
        _, parent, committed = self.head()
        salts = {payee: keccak(text=f"{payee} {round_number}") for payee in amounts}
        leaves = {
            payee: self.leaf(payee, amount, salts[payee], entry_of(salts[payee]))
            for payee, amount in amounts.items()
        }
        payouts: PayoutTree = tree(tuple(leaves.values()))
        total = sum(amounts.values())
        commit = Commit(
            programme=self.word,
            round=round_number,
            parent=parent,
            slots=len(amounts),
            plan=b"\x11" * 32,
            cohort=b"\x12" * 32,
            sum_trees=b"\x13" * 32,
            sum=b"\x14" * 32,
            model=keccak(text=f"model {round_number}"),
            payouts=payouts.root,
            total=total,
            budget=max(total - committed, 0),
            scores=1_000,
        )
        shown = tuple(
            Payout(
                round_number,
                payee,
                amount,
                salts[payee],
                entry_of(salts[payee]),
                payouts.proof(leaves[payee]),
            )
            for payee, amount in amounts.items()
        )
        return Made(commit, shown)

    def commit_call(self, commit: Commit, **other: object) -> ContractFunction:
        return self.call.commit(replace(commit, **other).fields())

    def commit(self, amounts: Mapping[str, int], round_number: int = 1) -> Made:
        made = self.make(amounts, round_number)
        self.chain.send(self.commit_call(made.commit), self.terms.coordinator)
        return made

    def settle(self, amounts: Mapping[str, int], round_number: int = 1) -> Made:
        """Commit, and wait until it has matured."""
        made = self.commit(amounts, round_number)
        self.mature(round_number)
        return made

    def matures_at(self, round_number: int = 1) -> int:
        return self.call.roundOf(self.word, round_number).call()[3]

    def mature(self, round_number: int = 1) -> None:
        self.chain.until(self.matures_at(round_number))

    def claim_call(self, one: Payout, **other: object) -> ContractFunction:
        fields = {
            "programme": self.word,
            "round": one.round,
            "payee": one.payee,
            "cumulative": one.cumulative,
            "salt": one.salt,
            "entry": one.entry,
            "proof": one.proof,
        }
        return self.call.claim(*{**fields, **other}.values())

    def claim(self, one: Payout, sender: str | None = None):
        return self.chain.send(self.claim_call(one), sender or self.chain.account(9))

    def challenge_call(self, commit: Commit, proof: bytes = GUILTY) -> ContractFunction:
        return self.call.challenge(commit.fields(), BAD_SUM, proof)

    def seal(self, commit: Commit, challenger: str, proof: bytes = GUILTY) -> None:
        word = self.call.sealOf(self.word, commit.round, challenger, keccak(proof)).call()
        self.chain.send(self.call.seal(word), challenger)
        # A call runs in the newest block, which must be a later one than the seal's.
        self.chain.tester.mine_block()

    def convict(self, commit: Commit, challenger: str | None = None):
        """Seal and challenge."""
        challenger = challenger or self.chain.account(7)
        self.seal(commit, challenger)
        return self.chain.send(self.challenge_call(commit), challenger)

    def bond(self, account: str, amount: int) -> None:
        self.chain.send(self.token.functions.transfer(account, amount), self.chain.account(0))
        self.approve_vault(account, amount)
        self.chain.send(self.vault.bond(self.word, amount), account)

    def approve_vault(self, account: str, amount: int) -> None:
        approve = self.token.functions.approve(self.chain.vault.address, amount)
        self.chain.send(approve, account)

    def bonded(self, account: str) -> int:
        return self.vault.bondOf(self.word, account).call()

    def credit(self, account: str) -> int:
        return self.vault.creditOf(self.token.address, account).call()

    def balance(self, account: str) -> int:
        return self.token.functions.balanceOf(account).call()


def payout_leaf(
    chain_id: int,
    contract: str,
    programme: bytes,
    payee: str,
    cumulative: int,
    salt: bytes,
    entry: bytes,
) -> bytes:
    """A payout's leaf, from its definition in the interface."""
    types = ["bytes32", "uint256", "address", "bytes32", "address", "uint256", "bytes32", "bytes32"]
    domain = keccak(text="veilsum/payout-leaf/2")
    body = encode(types, [domain, chain_id, contract, programme, payee, cumulative, salt, entry])
    return keccak(keccak(body))


def usual_terms(chain: Chain, token: str, **other: object) -> Terms:
    judges = sorted((judge(number).address for number in range(3)), key=str.lower)
    terms = Terms(
        token=token,
        coordinator=chain.account(1),
        funder=chain.account(0),
        guardian=chain.account(6),
        judges=tuple(judges),
        quorum=2,
        end=chain.now() + RUNNING_SECONDS,
    )
    return replace(terms, **other)


def open_programme(
    chain: Chain,
    token: Contract,
    *,
    escrow: int = ESCROW,
    bond: int = BOND,
    **other: object,
) -> Programme:
    terms = usual_terms(chain, token.address, **other)
    functions = chain.settlement.functions
    word = functions.programmeOf(terms.fields()).call()
    programme = Programme(chain, token, terms, word)
    chain.send(functions.open(terms.fields()), chain.account(8))
    if escrow:
        chain.send(token.functions.approve(chain.settlement.address, escrow), chain.account(0))
        chain.send(functions.fund(programme.word, escrow), chain.account(0))
    if bond:
        programme.bond(terms.coordinator, bond)
    return programme
