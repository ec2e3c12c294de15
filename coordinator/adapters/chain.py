"""The coordinator's door to the chain: it deploys, opens, funds and commits, each once."""

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount
from web3.contract.contract import Contract

from coordinator.settling.settle import Head, Statement, Terms, programme_of
from privacy.errors import IllegalEvent, WrongContext
from privacy.payouts import Domain
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Call, Endpoint, Receipt
from veilsum.chain.journal import Journal


@dataclass(frozen=True, slots=True)
class Commitment:
    """A commit on the chain: the transaction that made it and the gas it used.

    Both are None where the chain holds the commit and this journal does not.
    """

    transaction: str | None
    gas: int | None


@dataclass(frozen=True, slots=True)
class SettlementChain:
    """The settlement contract as the holder of `key` uses it."""

    endpoint: Endpoint
    key: LocalAccount
    journal: Journal
    contract: Contract

    def domain(self, programme: str) -> Domain:
        """Return where the payouts of `programme` count."""
        address = str(self.contract.address).lower()
        return Domain(chain_id=self.endpoint.chain_id, contract=address, programme=programme)

    def open(self, terms: Terms) -> str:
        """Open the programme with `terms`, unless it is open, and return its identifier.

        Raises:
            IllegalEvent: the contract refuses these terms.
            ChainUnavailable: the endpoint does not answer; run this again.
        """
        programme = programme_of(terms)
        if not self._is_open(programme):
            asked = (terms.token, terms.coordinator, terms.funder)
            addresses = tuple(self.endpoint.web3.to_checksum_address(one) for one in asked)
            call = self.contract.functions.open((*addresses, terms.end, terms.label))
            self._send(f"open-{programme}", call)
        return programme

    def fund(self, programme: str, amount: int) -> int:
        """Fill the escrow up to `amount` from this key's tokens and return what it holds.

        Raises:
            IllegalEvent: the token or the contract refuses.
            ChainUnavailable: the endpoint does not answer; run this again.
        """
        missing = amount - self._funded(programme)
        if missing > 0:
            token = self._token(programme)
            approve = token.functions.approve(self.contract.address, missing)
            self._send(f"approve-{programme}-{amount}", approve)
            call = self.contract.functions.fund(bytes.fromhex(programme), missing)
            self._send(f"fund-{programme}-{amount}", call)
        return self._funded(programme)

    def head(self, programme: str) -> Head:
        """Return the newest commit of `programme`.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        round_number, _, root, committed, _ = self._state(programme)
        return Head(round_number, root, committed)

    def commit(self, statement: Statement) -> Commitment:
        """Make `statement` the programme's head, unless it is, and return its transaction.

        Raises:
            IllegalEvent: the head is neither this commit nor the one before it, or the
                contract refuses.
            ChainUnavailable: the endpoint does not answer, or the transaction is not
                mined yet; run this again.
        """
        purpose = f"commit-{statement.domain.programme}-{statement.head.root.hex()}"
        if self._stands(statement):
            receipt = self.endpoint.recall(self.journal, purpose)
        else:
            receipt = self._send(
                purpose,
                self.contract.functions.commit(
                    bytes.fromhex(statement.domain.programme),
                    statement.head.round,
                    statement.parent,
                    statement.head.root,
                    statement.head.total,
                ),
            )
        if receipt is None:
            return Commitment(transaction=None, gas=None)
        return Commitment(receipt.transaction, receipt.gas)

    def _stands(self, statement: Statement) -> bool:
        head = self.head(statement.domain.programme)
        if head != statement.head and head.root != statement.parent:
            raise IllegalEvent(
                f"the chain stands at round {head.round}, root {head.root.hex()[:16]}…, total "
                f"{head.total}: neither this commit of round {statement.head.round} nor the one "
                "it follows; the operator must find who else commits with this key"
            )
        return head == statement.head

    def _state(self, programme: str) -> tuple[int, int, bytes, int, int]:
        state = self.endpoint.read(self.contract.functions.stateOf(bytes.fromhex(programme)))
        round_number, funded, root, committed, paid = state
        return round_number, funded, root, committed, paid

    def _funded(self, programme: str) -> int:
        return self._state(programme)[1]

    def _is_open(self, programme: str) -> bool:
        terms = self.endpoint.read(self.contract.functions.termsOf(bytes.fromhex(programme)))
        return bool(terms[3])

    def _token(self, programme: str) -> Contract:
        terms = self.endpoint.read(self.contract.functions.termsOf(bytes.fromhex(programme)))
        if not terms[3]:
            raise WrongContext(f"programme {programme[:16]}… is not open on this contract")
        return self.endpoint.at(load("DemoToken"), terms[0])

    def _send(self, purpose: str, call: Call) -> Receipt:
        return self.endpoint.send(self.key, self.journal, purpose, call)


def deploy(endpoint: Endpoint, key: LocalAccount, journal: Journal) -> SettlementChain:
    """Deploy the settlement contract, once for each journal, and return it.

    Raises:
        ChainUnavailable: the endpoint does not answer; run this again.
    """
    constructor = endpoint.constructor("Settlement")
    receipt = endpoint.send(key, journal, f"deploy-{endpoint.chain_id}", constructor)
    return attach(endpoint, key, journal, str(receipt.contract))


def attach(
    endpoint: Endpoint, key: LocalAccount, journal: Journal, address: str
) -> SettlementChain:
    """Return the settlement contract that was deployed at `address`.

    Raises:
        WrongContext: the code there is not that of this version's contract.
        ChainUnavailable: the endpoint does not answer.
    """
    return SettlementChain(endpoint, key, journal, endpoint.deployed("Settlement", address))
