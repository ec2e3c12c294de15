"""The one door to a chain: contracts called, transactions sent, and what is final told apart."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import Web3
from web3.contract.contract import Contract, ContractConstructor, ContractFunction
from web3.logs import DISCARD
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers import JSONBaseProvider
from web3.types import TxParams

from privacy.errors import ChainUnavailable, ConfigError, WrongContext
from privacy.failpoints import Step, pass_by
from veilsum.files import read_secret

from .access import ChainAccess
from .compiled import Artefact, load
from .fees import GWEI, ceiling_of
from .finality import Block, Finality
from .journal import Journal
from .lines import Alone, Clock, Identity, Line, Lines, Sleep
from .refusals import refusal, translated
from .sending import Call, Receipt, Sending, Standing, Terms, find
from .signing import RemoteSigner, Signer, require_unix_socket
from .wallet import load_key

log = structlog.get_logger()

__all__ = (
    "Call", "Contract", "Endpoint", "Receipt", "Standing", "checksummed", "connect", "reach",
    "refusal", "signer_of", "transfer", "translated",
)  # fmt: skip

DEFAULT_CEILING: Final = 100 * GWEI
"""Wei for a unit of gas."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A connected chain, which is the one that was asked for; one endpoint of it, or two.

    What is read or sent is asked of the first endpoint that answers. What is final is asked of
    each, and counts where they agree.
    """

    web3: Web3
    chain_id: int
    chain: str
    finality: Finality
    terms: Terms
    again: Callable[[], Identity]

    def deployed(self, name: str, address: str) -> Contract:
        """Return the contract `name` at `address`.

        Raises:
            WrongContext: the code there is not that of this version's `name`.
            ChainUnavailable: the endpoint does not answer.
        """
        artefact = load(name)
        with translated():
            code = self.web3.eth.get_code(Web3.to_checksum_address(address))
        if not artefact.runs_as(bytes(code)):
            raise WrongContext(
                f"the code at {address} on chain {self.chain_id} is not that of {name}; "
                "whoever configured the address must correct it"
            )
        return self.at(artefact, address)

    def at(self, artefact: Artefact, address: str) -> Contract:
        """Return the contract at `address`, taken to have the interface of `artefact`."""
        checksummed = Web3.to_checksum_address(address)
        return self.web3.eth.contract(address=checksummed, abi=artefact.abi)

    def constructor(self, name: str, *arguments: object) -> ContractConstructor:
        """Return the deployment of the contract `name`, to be sent."""
        return self.construction(load(name), *arguments)

    def construction(self, artefact: Artefact, *arguments: object) -> ContractConstructor:
        """Return the deployment of a contract whose libraries are linked, to be sent."""
        factory = self.web3.eth.contract(abi=artefact.abi, bytecode=HexBytes(artefact.bytecode))
        return factory.constructor(*arguments)

    def read(self, call: ContractFunction) -> Any:  # noqa: ANN401 (the ABI decides)
        """Return what `call` answers at the newest block, which may yet be undone.

        Raises:
            IllegalEvent: the contract refuses.
            ChainUnavailable: the endpoint does not answer.
        """
        with translated():
            return call.call()

    def read_final(self, call: ContractFunction) -> Any:  # noqa: ANN401 (the ABI decides)
        """Return what `call` answers at the newest final block, on every endpoint.

        Raises:
            IllegalEvent: the contract refuses.
            EndpointsDiffer: two endpoints give different answers.
            ChainUnavailable: one does not answer, or the contract is not final yet.
        """
        with translated():
            return self.finality.read(call)

    def read_each(self, call: ContractFunction) -> list[Any]:
        """Return what each endpoint that answers says of `call` at its newest block; one may lie.

        Raises:
            IllegalEvent: the contract refuses.
        """
        found = []
        for ask in self.finality.asking(call, "latest"):
            try:
                with translated():
                    found.append(ask())
            except ChainUnavailable as error:
                log.warning("endpoint_passed_over", call=call.fn_name, reason=str(error))
        return found

    def final_block(self) -> Block:
        """Return the newest block that is final, on every endpoint.

        Raises:
            EndpointsDiffer: they have different ones.
            ChainUnavailable: one does not answer, or is behind.
        """
        with translated():
            return self.finality.newest()

    def require_final(self, receipt: Receipt) -> None:
        """Return if a transaction is final: nothing is paid or published before.

        Raises:
            EndpointsDiffer: the endpoints have different final blocks.
            ChainUnavailable: it is not final yet, or was undone; run this again.
        """
        with translated():
            newest, held = self.finality.newest(), self.finality.holds(receipt.block)
        if not held:
            raise ChainUnavailable(
                f"transaction {receipt.transaction} is in block {receipt.block.number}, and final "
                f"are those up to {newest.number}; run this again"
            )

    def send(self, key: Signer, journal: Journal, purpose: str, call: Call) -> Receipt:
        """Sign `call`, journal it, broadcast it, and return its receipt once it is mined.

        After a crash the journalled bytes are sent again, so that one purpose has one effect;
        they are signed anew only when it is final that they failed, or can never be mined. What
        this key has sent before goes first.

        Raises:
            IllegalEvent: the contract refuses; nothing was changed.
            ChainUnavailable: no answer, or not mined within the time that was given.
            FeeAboveCeiling: gas costs more than may be paid.
            EndpointsDiffer: the endpoints are of different chains, or differ in what is final.
            InvalidSignature: a signer elsewhere signed something else.
            FolderHeld: another process sends with this key.
        """
        with translated():
            return self._sending(key, journal).send(purpose, call)

    def post(self, key: Signer, journal: Journal, purpose: str, call: Call) -> None:
        """Sign `call`, journal it and broadcast it: as `send`, without waiting until it is mined.

        Whoever calls it again for this purpose looks after it, and has nothing sent twice.

        Raises:
            IllegalEvent, ChainUnavailable, FeeAboveCeiling, EndpointsDiffer: as for `send`.
            InvalidSignature, FolderHeld: as for `send`.
        """
        with translated():
            self._sending(key, journal).post(purpose, call)

    def tend(self, key: Signer, journal: Journal) -> Standing:
        """Look after what a key has sent and is not final: sent again, or replaced, in order.

        Raises:
            ChainUnavailable, FeeAboveCeiling, EndpointsDiffer, FolderHeld: as for `send`.
        """
        with translated():
            return self._sending(key, journal).tend()

    def recall(self, journal: Journal, purpose: str) -> Receipt | None:
        """Return the receipt of what was sent for `purpose`, if this journal knows it.

        Raises:
            IllegalEvent: it was mined and failed.
            ChainUnavailable: the endpoint does not answer.
        """
        entry = journal.find(self.chain, purpose)
        if entry is None:
            return None
        with translated():
            return find(self.web3, entry)

    def events(self, contract: Contract, name: str, receipt: Receipt) -> list[dict[str, Any]]:
        """Return the arguments of each event `name` that a transaction left in a contract.

        Raises:
            ChainUnavailable: the endpoint's receipt cannot be read.
        """
        with translated():
            found = contract.events[name]().process_receipt(receipt.mined, errors=DISCARD)
        return [dict(event["args"]) for event in found if event["address"] == contract.address]

    def _sending(self, key: Signer, journal: Journal) -> Sending:
        # Asked again each time: behind one URL there may be another node by now.
        found = self.again()
        if chain_of(found) != self.chain:
            raise WrongContext(
                f"the endpoint is of chain {chain_of(found)} now, and was of {self.chain}; its "
                "operator must look"
            )
        return Sending(
            self.web3, self.chain_id, self.chain, self.finality, self.terms, key, journal
        )


def connect(
    url: str,
    *,
    second: str | None = None,
    chain_id: int | None = None,
    answer_seconds: float = 10.0,
    patience_seconds: float = 60.0,
    ceiling: int = DEFAULT_CEILING,
    finality_blocks: int | None = None,
    step: Step = pass_by,
    sleep: Sleep = time.sleep,
    clock: Clock = time.monotonic,
) -> Endpoint:
    """Return the chain with an endpoint at `url`.

    Args:
        second: the URL of another endpoint, to compare.
        chain_id: of the chain it must be on; None takes the chain it is on.
        answer_seconds: how long one request may take, attempts included.
        patience_seconds: how long a transaction may take to be mined.
        ceiling: wei, the most that is paid for a unit of gas.
        finality_blocks: how many blocks stand above a final one; the chain's word, if None.
        step: called with the name of each failpoint that is passed.

    Raises:
        ChainUnavailable: nothing answers there.
        WrongContext: it is on another chain.
        EndpointsDiffer: the two are of different chains.
    """
    urls = (url,) if second is None else (url, second)
    each = tuple(Line(one, answer_seconds, sleep, clock) for one in urls)
    lines = Lines(each, chain_id, clock)
    with translated():
        found = lines.meet_again()
    alone = tuple(_asking(Alone(lines, line)) for line in each)
    return Endpoint(
        _asking(lines),
        found.chain_id,
        chain_of(found),
        Finality(alone, finality_blocks),
        Terms(ceiling, patience_seconds, step, sleep, clock),
        lines.meet_again,
    )


def reach(
    access: ChainAccess,
    *,
    answer_seconds: float = 10.0,
    patience_seconds: float = 60.0,
    step: Step = pass_by,
) -> Endpoint:
    """Return the chain that settings name.

    Raises:
        ChainUnavailable, WrongContext, EndpointsDiffer: as for `connect`.
    """
    return connect(
        access.rpc,
        second=access.second_rpc,
        chain_id=access.chain_id,
        answer_seconds=answer_seconds,
        patience_seconds=patience_seconds,
        ceiling=ceiling_of(access.fee_ceiling_gwei),
        finality_blocks=access.finality_blocks,
        step=step,
    )


def signer_of(access: ChainAccess) -> Signer:
    """Return who signs: the key in a keystore, or a signer elsewhere.

    Raises:
        InsecureKeyFile: others than the owner can read a key, or it is no keystore that the
            passphrase opens.
        ConfigError: a file cannot be read, or a socket is none, or anybody's.
    """
    if access.signer is not None:
        if access.signer.key is not None:
            read_secret(access.signer.key)
        _require_socket(access.signer.url)
        return RemoteSigner(access.signer)
    if access.keystore is None or access.passphrase is None:
        raise ConfigError("settlement: set keystore and passphrase, or the table signer")
    return load_key(access.keystore, read_secret(access.passphrase).decode().strip())


def chain_of(identity: Identity) -> str:
    """Return the name of a chain in journals: its number, and the beginning of its first block."""
    return f"{identity.chain_id}-{identity.genesis.removeprefix('0x')[:16]}"


def checksummed(address: str) -> str:
    """Return an address with its checksum, as contracts are called."""
    return str(to_checksum_address(address))


def transfer(sender: str, to: str, wei: int) -> TxParams:
    """Return the transaction by which an account that a node has unlocked gives ether away."""
    return {
        "from": Web3.to_checksum_address(sender),
        "to": Web3.to_checksum_address(to),
        "value": Web3.to_wei(wei, "wei"),
    }


def _asking(provider: JSONBaseProvider) -> Web3:
    """Return the chain at a provider, whose blocks may carry the signatures of who made them."""
    web3 = Web3(provider)
    # Clique, QBFT and IBFT: more `extraData` than the library lets pass.
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    return web3


def _require_socket(url: str) -> None:
    if url.startswith("unix://"):
        require_unix_socket(Path(url.removeprefix("unix://")))
