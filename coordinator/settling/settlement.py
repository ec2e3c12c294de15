"""Settle a programme on the chain, after its last round; rounds never wait for it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from coordinator.config import SettlementSettings
from coordinator.ports import Store
from coordinator.rounds.state import Phase, Round
from privacy import canonical
from privacy.errors import NotYet, WrongContext
from privacy.payouts import Domain, Entitlement
from privacy.roster import Roster
from privacy.sealing import Entropy

from . import settle
from .settle import Head

log = structlog.get_logger()

_KIND = "settlement"


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    parent: str
    round: int
    root: str
    total: str
    entitlements: tuple[Entitlement, ...]


@dataclass
class Settlement:
    """What a programme's participants have earned, and how far the chain knows it.

    The statement, salts included, is on disk before anything is sent, so that after
    a crash the same one is committed.
    """

    settings: SettlementSettings
    store: Store
    roster: Callable[[], Roster]
    entropy: Entropy
    journal: Path

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        # Only `run` changes it: who watches rounds is told without a look at the database.
        self._done = bool(self.transaction())

    def is_done(self) -> bool:
        """Return whether the statement is committed, so that payouts can be claimed."""
        return self._done

    def transaction(self) -> str:
        """Return the hash of the transaction that committed it, or nothing."""
        return dict(self.store.documents(_KIND)).get("transaction", b"").decode()

    def run(self, rounds: Mapping[int, Round]) -> None:
        """Commit what the rounds' participants have earned, unless it is committed.

        Raises:
            ChainUnavailable: the endpoint does not answer; run it again.
            WrongContext, IllegalEvent: the chain is not what it must be; the operator
                must look.
        """
        # web3 takes half a second to import, and is there only where the chain is used.
        from coordinator.adapters.chain import attach  # noqa: PLC0415
        from veilsum.chain.endpoint import connect  # noqa: PLC0415
        from veilsum.chain.journal import FolderJournal  # noqa: PLC0415
        from veilsum.chain.wallet import load_key  # noqa: PLC0415

        with self._lock:
            if self.is_done():
                return
            endpoint = connect(self.settings.rpc, chain_id=self.settings.chain_id)
            passphrase = self.settings.passphrase.read_text().strip()
            key = load_key(self.settings.keystore, passphrase)
            self.journal.mkdir(mode=0o700, exist_ok=True)
            chain = attach(endpoint, key, FolderJournal(self.journal), self.settings.contract)
            statement = self._statement(chain.domain(self.settings.programme), rounds)
            commitment = chain.commit(statement)
            name = commitment.transaction or "unknown"
            self.store.put_document(_KIND, "transaction", name.encode())
            self._done = True
            log.info("settled", transaction=name, root=statement.head.root.hex())

    def payout(self, participant: str) -> tuple[Entitlement | None, str]:
        """Return what a participant may claim, if it has earned anything, and on which contract.

        Raises:
            NotYet: nothing is committed yet.
        """
        documents = dict(self.store.documents(_KIND))
        if "transaction" not in documents:
            raise NotYet("the programme is not settled yet")
        payee = self.roster().member(participant).payout_address.lower()
        for each in canonical.decode(documents["statement"], _Statement).entitlements:
            if each.payee == payee:
                return each, self.settings.contract
        return None, self.settings.contract

    def _statement(self, domain: Domain, rounds: Mapping[int, Round]) -> settle.Statement:
        if "statement" not in dict(self.store.documents(_KIND)):
            made = self._make_statement(domain, rounds)
            self.store.put_document(_KIND, "statement", canonical.encode(_stored(made)))
        stored = canonical.decode(self.store.document(_KIND, "statement"), _Statement)
        self._check(stored, domain, rounds)
        head = Head(stored.round, bytes.fromhex(stored.root), int(stored.total))
        return settle.Statement(domain, bytes.fromhex(stored.parent), head, stored.entitlements)

    def _check(self, stored: _Statement, domain: Domain, rounds: Mapping[int, Round]) -> None:
        """Return if a stored statement is what the rounds up to its own have earned.

        What is sent to the chain is signed: it follows from the rounds, not from a row.
        """
        amounts = self._earned({n: each for n, each in rounds.items() if n <= stored.round})
        salts = {each.payee: bytes.fromhex(each.salt) for each in stored.entitlements}
        same = salts.keys() == amounts.keys()
        if not same or stored != _stored(
            settle.statement(domain, Head(0, bytes(32), 0), stored.round, amounts, salts)
        ):
            raise WrongContext(
                "settlement: the stored statement is not what its rounds have earned; nothing is "
                "sent. Put roster and settings back, or find out who changed the database"
            )

    def _earned(self, rounds: Mapping[int, Round]) -> dict[str, int]:
        members = self.roster().trainers()
        payees = {each.participant: each.payout_address for each in members if each.payout_address}
        counts = {name: n for name, n in participation(rounds).items() if name in payees}
        return settle.earned({}, int(self.settings.escrow), counts, payees)

    def _make_statement(self, domain: Domain, rounds: Mapping[int, Round]) -> settle.Statement:
        amounts = self._earned(rounds)
        salts = {payee: self.entropy(32) for payee in amounts}
        last = max(rounds, default=1)
        return settle.statement(domain, Head(0, bytes(32), 0), last, amounts, salts)


def participation(rounds: Mapping[int, Round]) -> dict[str, int]:
    """Return in how many released rounds each participant's contribution counted."""
    counts: dict[str, int] = {}
    for each in rounds.values():
        if each.phase is Phase.DONE:
            for entry in each.committed:
                counts[entry.participant] = counts.get(entry.participant, 0) + 1
    return counts


def _stored(made: settle.Statement) -> _Statement:
    return _Statement(
        parent=made.parent.hex(),
        round=made.head.round,
        root=made.head.root.hex(),
        total=str(made.head.total),
        entitlements=made.entitlements,
    )
