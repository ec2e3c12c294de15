"""What one key sends to one chain: journalled first, in nonce order, and looked after until final.

A transaction is known by its sender and nonce, not by a hash: of all that were signed for one
nonce a chain can mine one. So a purpose keeps its nonce until that is final, whatever is dropped,
forgotten by a node, undone by a fork or replaced, and has one effect.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Final, cast

import requests
import structlog
from hexbytes import HexBytes
from web3 import Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import TransactionNotFound
from web3.exceptions import Web3RPCError as RpcError
from web3.types import TxParams, TxReceipt

from privacy.errors import ChainUnavailable, IllegalEvent, WrongContext
from privacy.failpoints import Step

from .fees import Fee, Market, first_fee, raised_fee
from .finality import Block, Finality
from .journal import Entry, Journal, Version
from .lines import Clock, Sleep
from .refusals import is_seen_before, is_too_cheap, translated
from .signing import Signer, fields_of, name_of, signed_exactly

log = structlog.get_logger()

Call = ContractFunction | ContractConstructor
"""What can be sent: a function of a contract, or a contract's deployment."""

STUCK_BLOCKS: Final = 10
"""After so many blocks a transaction that others have overtaken is replaced."""

MOST_GAS: Final = 1 << 24
"""No transaction may ask for more (EIP-7825)."""

_LONGEST_POLL_SECONDS: Final = 1.0
_SHORTEST_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction that succeeded: its hash, gas used and new contract, if any.

    It may be undone until `block` is final.
    """

    transaction: str
    gas: int
    contract: str | None
    block: Block
    mined: TxReceipt = field(repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a key's transactions are: how many wait to be mined, how many to be final."""

    pending: int
    mined: int


@dataclass(frozen=True, slots=True)
class Terms:
    """How a process sends.

    Attributes:
        ceiling: wei, the most that is paid for a unit of gas.
        patience_seconds: how long a transaction may take to be mined.
    """

    ceiling: int
    patience_seconds: float
    step: Step
    sleep: Sleep = time.sleep
    clock: Clock = time.monotonic


@dataclass(frozen=True)
class Sending:
    """One key, its journal, and the chain that it sends to."""

    web3: Web3
    chain_id: int
    chain: str
    finality: Finality
    terms: Terms
    key: Signer
    journal: Journal

    def send(self, purpose: str, call: Call) -> Receipt:
        """Have `call` mined, once for this purpose, and return its receipt.

        Raises:
            IllegalEvent: the contract refuses, or the transaction was mined and failed.
            ChainUnavailable: no answer, too little ether, or not mined in time.
            FeeAboveCeiling: gas costs more than may be paid.
            FolderHeld: another process sends with this key.
            WrongContext: the journal has this purpose for another key.
        """
        with self.journal.held(self.chain, self.key.address):
            self._look_after_all()
            entry = self._standing(purpose) or self._begun(purpose, call)
            return self._wait(entry)

    def post(self, purpose: str, call: Call) -> None:
        """Have `call` sent, once for this purpose, and do not wait until it is mined.

        Raises:
            IllegalEvent: the contract refuses.
            ChainUnavailable, FeeAboveCeiling, FolderHeld, WrongContext: as for `send`.
        """
        with self.journal.held(self.chain, self.key.address):
            self._look_after_all()
            if self._standing(purpose) is None:
                self._begun(purpose, call)

    def tend(self) -> Standing:
        """Look after all that is not final: send again what was dropped, replace what is stuck.

        Raises:
            ChainUnavailable, FeeAboveCeiling, FolderHeld: as for `send`.
        """
        with self.journal.held(self.chain, self.key.address):
            self._look_after_all()
            entries = self.journal.open(self.chain, self.key.address)
            mined = sum(self._find(entry) is not None for entry in entries)
            return Standing(pending=len(entries) - mined, mined=mined)

    # -- one purpose -------------------------------------------------------------------

    def _standing(self, purpose: str) -> Entry | None:
        """Return what was sent for this purpose; None if it must be signed, or signed anew."""
        entry = self.journal.find(self.chain, purpose)
        if entry is None:
            return None
        if entry.sender != self.key.address:
            raise WrongContext(
                f"{purpose} was signed with the key of {entry.sender}, not of {self.key.address}; "
                "start with that key until it is final"
            )
        mined = self._find(entry)
        if mined is not None and mined["status"] != 1:
            return None if self._is_final(mined) else entry
        return entry

    def _begun(self, purpose: str, call: Call) -> Entry:
        entry = self._signed(purpose, call)
        self.terms.step("chain.before_journal")
        self.journal.put(self.chain, entry)
        self.terms.step("chain.after_journal")
        return self._push(entry)

    def _signed(self, purpose: str, call: Call) -> Entry:
        self._require_ether()
        fee = first_fee(self._market(), self.terms.ceiling)
        nonce = self._next_nonce()
        options: TxParams = {
            "from": Web3.to_checksum_address(self.key.address),
            "nonce": nonce,
            "chainId": self.chain_id,
            **_offer(fee),  # type: ignore[typeddict-item]
        }
        built = dict(call.build_transaction(options))
        built["gas"] = _with_margin(int(cast(int, built["gas"])))
        self.terms.step("chain.before_sign")
        raw = signed_exactly(self.key, built)
        return Entry(purpose, self.key.address, nonce, (Version(raw.hex(), self._height()),))

    def _next_nonce(self) -> int:
        """Return the first nonce that is neither mined nor journalled.

        A node's pending count may hold transactions that vanish: only what is mined counts.
        """
        nonce = self._mined_count()
        taken = {entry.nonce for entry in self.journal.open(self.chain, self.key.address)}
        while nonce in taken:
            nonce += 1
        return nonce

    def _wait(self, entry: Entry) -> Receipt:
        end = self.terms.clock() + self.terms.patience_seconds
        height, pause = self._height(), _SHORTEST_POLL_SECONDS
        while (mined := self._find(entry)) is None:
            if self.terms.clock() >= end:
                raise ChainUnavailable(
                    f"the transaction with nonce {entry.nonce} of {entry.sender} is not mined "
                    "yet; run this again"
                )
            self.terms.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL_SECONDS)
            if (now := self._height()) != height:
                height = now
                self._look_after_all()
                entry = self.journal.find(self.chain, entry.purpose) or entry
        self.terms.step("chain.after_mined")
        return receipt_of(mined)

    # -- all that is not final ---------------------------------------------------------

    def _look_after_all(self) -> None:
        """Look after each in nonce order: one that is missing holds up all that follow."""
        for entry in self.journal.open(self.chain, self.key.address):
            mined = self._find(entry)
            if mined is not None:
                self._finish(entry, mined)
            elif self._mined_count() > entry.nonce:
                self._look_for(entry)
            else:
                self._push(entry)

    def _finish(self, entry: Entry, mined: TxReceipt) -> None:
        if not self._is_final(mined):
            return
        self.terms.step("chain.before_final")
        self.journal.finish(self.chain, entry)
        self.terms.step("chain.after_final")

    def _look_for(self, entry: Entry) -> None:
        """Drop an entry whose nonce something else has used for good.

        Until that is final it may come back, and a second one beside it would be a second effect.
        """
        final = self.finality.count(entry.sender) > entry.nonce
        # Looked for after the count was asked, and everywhere: it may have been mined meanwhile.
        if any(_found(web3, entry) is not None for web3 in (self.web3, *self.finality.each)):
            return
        log.warning("nonce_used_elsewhere", sender=entry.sender, nonce=entry.nonce, final=final)
        if not final:
            raise ChainUnavailable(
                f"nonce {entry.nonce} of {entry.sender} was used by a transaction that this "
                "journal does not know; once that is final, another is signed. The operator must "
                "find who else sends with this key"
            )
        self.journal.drop(self.chain, entry)

    def _push(self, entry: Entry) -> Entry:
        """Give a node the newest version, and a newer one if that is stuck."""
        try:
            entry = self._broadcast(entry)
        except RpcError as error:
            if not is_too_cheap(error):
                raise
        else:
            if not self._is_stuck(entry):
                return entry
        return self._broadcast(self._replaced(entry))

    def _broadcast(self, entry: Entry) -> Entry:
        """Give every endpoint the newest version: one that keeps it for itself holds up nothing."""
        refusals = [_given(web3, entry) for web3 in self.finality.each]
        if None not in refusals:
            if any(isinstance(each, RpcError) and is_seen_before(each) for each in refusals):
                return entry  # the chain is asked what became of it, not this node
            answered = (each for each in refusals if isinstance(each, RpcError))
            raise next(answered, refusals[0]) or AssertionError("there is an endpoint")
        self.terms.step("chain.after_broadcast")
        height = self._height()
        if height > entry.newest.height:
            entry = entry.sent_at(height)
            self.journal.put(self.chain, entry)
        return entry

    def _is_stuck(self, entry: Entry) -> bool:
        """Return whether an entry that is next in line is passed over for what it offers."""
        if self._find(entry) is not None or entry.nonce != self._mined_count():
            return False
        offered = int(fields_of(entry.newest.bytes())["maxFeePerGas"])
        overtaken = self._height() - entry.newest.height >= STUCK_BLOCKS
        return overtaken or offered < self._market().base

    def _replaced(self, entry: Entry) -> Entry:
        fields = fields_of(entry.newest.bytes())
        before = Fee(fields["maxFeePerGas"], fields["maxPriorityFeePerGas"])
        fee = raised_fee(before, self._market(), self.terms.ceiling)
        raw = signed_exactly(self.key, {**fields, **_offer(fee)})
        newer = entry.with_version(raw, self._height())
        self.terms.step("chain.before_replace")
        self.journal.put(self.chain, newer)
        log.info("transaction_replaced", nonce=entry.nonce, versions=len(newer.versions))
        return newer

    # -- the chain ---------------------------------------------------------------------

    def _find(self, entry: Entry) -> TxReceipt | None:
        return _found(self.web3, entry)

    def _is_final(self, mined: TxReceipt) -> bool:
        try:
            with translated():
                return self.finality.holds(_block_of(mined))
        except ChainUnavailable as error:
            # Sending goes on while one of two endpoints is away; nothing is final meanwhile.
            log.info("finality_unknown", reason=str(error))
            return False

    def _height(self) -> int:
        return int(self.web3.eth.block_number)

    def _mined_count(self) -> int:
        sender = Web3.to_checksum_address(self.key.address)
        return int(self.web3.eth.get_transaction_count(sender, "latest"))

    def _market(self) -> Market:
        eth = self.web3.eth
        base = int(eth.get_block("latest").get("baseFeePerGas", 0))
        return Market(base, int(eth.max_priority_fee))

    def _require_ether(self) -> None:
        sender = self.key.address
        if self.web3.eth.get_balance(Web3.to_checksum_address(sender)) == 0:
            raise ChainUnavailable(f"{sender} has no ether for gas; send it some, and run again")


def find(web3: Web3, entry: Entry) -> Receipt | None:
    """Return the receipt of what was sent for an entry, if it is mined.

    Raises:
        IllegalEvent: it was mined and failed.
    """
    mined = _found(web3, entry)
    return None if mined is None else receipt_of(mined)


def receipt_of(mined: TxReceipt) -> Receipt:
    """Return the receipt of a mined transaction.

    Raises:
        IllegalEvent: it failed.
    """
    name = HexBytes(mined["transactionHash"]).to_0x_hex()
    if mined["status"] != 1:
        raise IllegalEvent(f"transaction {name} was mined and failed; nothing was changed")
    contract = mined.get("contractAddress")
    return Receipt(name, mined["gasUsed"], contract, _block_of(mined), mined)


def _found(web3: Web3, entry: Entry) -> TxReceipt | None:
    for version in reversed(entry.versions):
        try:
            return web3.eth.get_transaction_receipt(HexBytes(name_of(version.bytes())))
        except TransactionNotFound:
            continue
    return None


def _given(web3: Web3, entry: Entry) -> Exception | None:
    """Give one endpoint the newest version; return why it did not take it, if so."""
    try:
        web3.eth.send_raw_transaction(HexBytes(entry.newest.bytes()))
    except (RpcError, requests.RequestException) as error:
        return error
    return None


def _block_of(mined: TxReceipt) -> Block:
    return Block(int(mined["blockNumber"]), HexBytes(mined["blockHash"]).to_0x_hex())


def _offer(fee: Fee) -> dict[str, Any]:
    return {
        "maxFeePerGas": Web3.to_wei(fee.most, "wei"),
        "maxPriorityFeePerGas": Web3.to_wei(fee.tip, "wei"),
    }


def _with_margin(gas: int) -> int:
    # What it needs may change until it is mined; what it does not use is not paid.
    return max(gas, min(gas + gas // 4, MOST_GAS))
