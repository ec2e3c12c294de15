"""Settle a programme on the chain, round after round; rounds never wait for it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec
import structlog

from coordinator.config import SettlementSettings
from coordinator.ports import Store
from coordinator.rounds.state import Phase, Round
from privacy import canonical
from privacy.contribution.scores import Method, weights
from privacy.errors import ChainUnavailable, ConfigError, IllegalEvent, NotYet, WrongContext
from privacy.failpoints import Step, pass_by
from privacy.records import Scores
from privacy.sealing import Entropy
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import Domain, Entitlement, parse_address

from .settle import (
    Result,
    Salts,
    Statement,
    budget_of,
    payouts_root,
    require_distinct,
    statement,
)

log = structlog.get_logger()

_MARKS = "settlement"
_STATEMENTS = "settlement-statement"
_DONE = "done"
_HALTED = "halted"
_COMMITTED = "transaction-"
_CLOSED = "closed-"


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    commit: Commit
    entitlements: tuple[Entitlement, ...]


class End(StrEnum):
    """Why a round can be disputed no more, for good."""

    MATURED = "matured"
    VOID = "void"


class Outcomes(Protocol):
    """Says what a released round has come to."""

    def of(self, current: Round) -> Result:
        """Return what its commit names."""
        ...

    def payees(self, number: int) -> Mapping[str, str]:
        """Return the address at which each trainer of a round's roster is paid, if it has one."""
        ...

    def cohort(self, current: Round) -> tuple[str, ...]:
        """Return the sites that its sum is of: a seat may have left out one that contributed."""
        ...

    def scores(self, current: Round) -> Scores | None:
        """Return what was opened of its contributions; None where nothing is asked for.

        Raises:
            NotYet: it is asked for, and not signed yet.
        """
        ...


class Chain(Protocol):
    """The contract, as far as commits go."""

    def domain(self, programme: str) -> Domain:
        """Return where the payouts of `programme` count."""
        ...

    def commit(self, made: Statement) -> str:
        """Make it the programme's newest commit, unless it is one; return its transaction."""
        ...

    def is_final(self, made: Statement) -> bool:
        """Return whether it stands for good."""
        ...

    def is_over(self, programme: str) -> bool:
        """Return whether the end of `programme` has passed for good: it takes no commit."""
        ...


@dataclass
class Settlement:
    """What a programme's participants have earned, and how far the chain knows it.

    A round's statement, salts included, is on disk before anything is sent, so that after a
    crash the same one is committed.

    Attributes:
        wanted: rounds that the programme is for.
        attach: opens the door to the chain, where this process commits.
    """

    settings: SettlementSettings
    store: Store
    wanted: int
    outcomes: Outcomes
    entropy: Entropy
    attach: Callable[[], Chain]
    step: Step = pass_by
    _made: dict[int, Statement] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        # Who watches rounds is told without a look at the database.
        self._done = self._marked(_DONE) is not None
        self._halted = self._marked(_HALTED) is not None
        self._ends = self._stored_ends()
        self._disputable = set(self._committed_rounds()) - self._ends.keys()

    def require_one_programme(self) -> None:
        """Return if all that is stored is of the programme that is set.

        Raises:
            ConfigError: a round was settled under another: demands of it would not be seen, and
                rounds of this one would follow a commit that it does not have.
        """
        wanted = self.settings.programme.lower()
        for name, body in self.store.documents(_STATEMENTS):
            held = canonical.decode(body, _Stored).commit.programme
            if held != wanted:
                raise ConfigError(
                    f"settlement.programme: round {int(name)} was settled in {held}; set that one "
                    "again, and answer for it until its rounds have matured. A new programme needs "
                    "a new coordinator: another database, object store and state folder"
                )

    def is_done(self) -> bool:
        """Return whether nothing more is committed, so that all there is can be claimed.

        The last round's commit is final then, or the programme is halted, or its end has passed.
        """
        return self._done or self._halted

    def holds(self, number: int) -> bool:
        """Return whether a round's contributions are still needed, to be stated or shown.

        What is committed can be demanded until it has matured, or is void, for good.
        """
        return is_needed(self.store, number)

    def committed(self, number: int) -> Commit:
        """Return the commit of a round.

        Raises:
            NotYet: it is not on the chain yet.
        """
        stored = self._stored(number) if self.transaction(number) else None
        if stored is None:
            raise NotYet(f"round {number} is not committed on the chain yet")
        return stored.commit

    def knows(self, number: int, digest: bytes) -> bool:
        """Return whether the commit of that digest (32 bytes) was stated here for a round."""
        stored = self._stored(number)
        return stored is not None and stored.commit.digest() == digest

    def disputable(self) -> list[int]:
        """Return the rounds that are committed and can still be disputed, in order."""
        return sorted(self._disputable)

    def ends(self) -> Mapping[int, End]:
        """Return how each round ended that can be disputed no more."""
        return self._ends

    def close(self, number: int, end: End) -> None:
        """Note that a round can be disputed no more: what it was made from may go."""
        if end is End.MATURED:
            # Its commit is final, whatever is not yet of those after it. This mark first: by it
            # its statement is known to be right once nothing is left to make it from.
            self.store.put_document(_MARKS, _final(number), b"yes")
        self.store.put_document(_MARKS, _closed(number), end.value.encode())
        self._ends = {**self._ends, number: end}
        self._disputable.discard(number)

    def halt(self) -> None:
        """Note that nothing more is committed: a round was proved wrong, or the end passed."""
        self.store.put_document(_MARKS, _HALTED, b"yes")
        self._halted = True

    def transaction(self, number: int) -> str:
        """Return the hash of the transaction that committed a round, or nothing."""
        return (self._marked(_committed(number)) or b"").decode()

    def run(self, rounds: Mapping[int, Round]) -> None:
        """Commit what each round that is done has earned, in order, unless it is committed.

        Raises:
            ChainUnavailable: no answer, or what was sent is not final yet; run it again.
            NotYet: scores of a round are not signed yet; run it again.
            WrongContext, IllegalEvent, ConfigError: chain, roster or database are not what they
                must be; the operator must look.
        """
        with self._lock:
            done = _released(rounds)[: self.wanted]
            if self.is_done():
                return
            if not all(self._is_final(each.number) for each in done):
                self._commit_all(done)
            if len(done) == self.wanted and not self.is_done():
                self._end(len(done))

    def payout(self, participant: str, number: int = 0) -> tuple[Entitlement | None, Commit]:
        """Return what a participant may claim by a commit, and that commit.

        A leaf is of the address that the round's own roster names; a member may have another now.

        Args:
            number: whose commit; 0 for the newest that stands.

        Raises:
            NotYet: it, or nothing at all, is committed yet.
            WrongContext: the programme was halted, or ended, before anything stood.
        """
        stored = self._stored(number or self._newest())
        if stored is None or not self.transaction(stored.commit.round):
            raise NotYet(f"round {number} is not committed on the chain yet")
        payee = self.outcomes.payees(stored.commit.round).get(participant, "").lower()
        for each in stored.entitlements:
            if each.payee == payee and each.amount() > 0:
                return each, stored.commit
        return None, stored.commit

    def _newest(self) -> int:
        """Return the newest committed round that is not void."""
        known = self._committed_rounds()
        standing = [each for each in known if self._ends.get(each) is not End.VOID]
        if not standing:
            if self._halted:
                why = "every round is void" if known else "it ended before any round was committed"
                raise WrongContext(f"the programme pays nobody anything: {why}")
            raise NotYet("the programme is not settled yet")
        return max(standing)

    def _committed_rounds(self) -> list[int]:
        marks = (name for name, _ in self.store.documents(_MARKS))
        return [int(name.removeprefix(_COMMITTED)) for name in marks if name.startswith(_COMMITTED)]

    def _stored_ends(self) -> dict[int, End]:
        marks = self.store.documents(_MARKS)
        closed = ((name, body) for name, body in marks if name.startswith(_CLOSED))
        return {int(name.removeprefix(_CLOSED)): End(body.decode()) for name, body in closed}

    def _is_final(self, number: int) -> bool:
        # Without a look at the mark for rounds that a version before this one has closed.
        return number in self._ends or self._marked(_final(number)) is not None

    def _statements(self, domain: Domain, done: Sequence[Round]) -> Iterator[Statement]:
        before: Statement | None = None
        for position, current in enumerate(done):
            budget = budget_of(int(self.settings.escrow), self.wanted, position)
            if current.number not in self._made:
                self._made[current.number] = self._statement(domain, before, current, budget)
            before = self._made[current.number]
            yield before

    def _statement(
        self, domain: Domain, before: Statement | None, current: Round, budget: int
    ) -> Statement:
        """Return a round's statement: the one that is stored, if it follows from the round.

        What is sent to the chain is signed: it follows from records, not from a row. Once it is
        final, the chain says whether it is what was sent: the next commit names it.
        """
        stored = self._stored(current.number)
        if stored is None:
            made = self._make(domain, before, current, budget, {})
            self.step("settlement.before_state")
            body = canonical.encode(_Stored(made.commit, made.entitlements))
            self.store.put_document(_STATEMENTS, _named(current.number), body)
            return made
        found = Statement(stored.commit, stored.entitlements)
        if not self._is_final(current.number):
            follows = self._make(domain, before, current, budget, _salts_of(found)) == found
        else:
            follows = payouts_root(found.entitlements).hex() == found.commit.payouts
        if not follows:
            raise WrongContext(
                f"settlement: the stored statement of round {current.number} is not what the round "
                "has earned; nothing is sent. Put roster and settings back, or find out who "
                "changed the database"
            )
        return found

    def _make(
        self,
        domain: Domain,
        before: Statement | None,
        current: Round,
        budget: int,
        salts: Mapping[str, Salts],
    ) -> Statement:
        of_payee = self._weights(current)
        earlier = before.amounts() if before else {}
        everyone = {payee: of_payee.get(payee, 0) for payee in {*earlier, *of_payee}}
        drawn = {each: Salts(self.entropy(32), self.entropy(32)) for each in everyone}
        result = self.outcomes.of(current)
        return statement(domain, before, result, budget, everyone, {**drawn, **salts})

    def _weights(self, current: Round) -> dict[str, int]:
        """Return the score of each payee of a round's roster, by address."""
        payees = self.outcomes.payees(current.number)
        require_distinct(payees)
        method = Method(self.settings.method)
        scores = None if method is Method.PARTICIPATION else self.outcomes.scores(current)
        found = weights(method, self.outcomes.cohort(current), scores)
        return {parse_address(payee): found.get(name, 0) for name, payee in payees.items()}

    def _commit_all(self, done: Sequence[Round]) -> None:
        chain, programme = self.attach(), self.settings.programme
        try:
            for made in self._statements(chain.domain(programme), done):
                self._commit(chain, made)
            self._finish(chain, done)
        except IllegalEvent as error:
            if not chain.is_over(programme):
                raise
            # Whatever was refused, it is for ever: what is committed stands, and no more comes.
            log.error("settlement_ended", reason=str(error))
            self.halt()

    def _commit(self, chain: Chain, made: Statement) -> None:
        number = made.commit.round
        if self.transaction(number):
            return
        name = chain.commit(made)
        self.step("settlement.before_record")
        self.store.put_document(_MARKS, _committed(number), name.encode())
        self._disputable.add(number)
        log.info("round_settled", round=number, transaction=name, payouts=made.commit.payouts)

    def _finish(self, chain: Chain, done: Sequence[Round]) -> None:
        newest = self._made[done[-1].number]
        if not chain.is_final(newest):
            # Dropped by a fork, perhaps: then it is sent once more.
            chain.commit(newest)
            raise ChainUnavailable("the newest commit is mined and not final yet; it is waited for")
        for each in done:
            self.store.put_document(_MARKS, _final(each.number), b"yes")

    def _end(self, rounds: int) -> None:
        self.store.put_document(_MARKS, _DONE, b"yes")
        self._done = True
        log.info("settled", rounds=rounds)

    def _marked(self, name: str) -> bytes | None:
        with suppress(NotYet):
            return self.store.document(_MARKS, name)
        return None

    def _stored(self, number: int) -> _Stored | None:
        with suppress(NotYet):
            body = self.store.document(_STATEMENTS, _named(number))
            return canonical.decode(body, _Stored)
        return None


def is_needed(store: Store, number: int) -> bool:
    """Return whether a round's contributions must stay, by what is stored and no chain.

    True of each round that is not committed yet, too, until nothing more is.
    """
    marks = {name for name, _ in store.documents(_MARKS)}
    if _committed(number) in marks:
        return _closed(number) not in marks
    return not marks & {_DONE, _HALTED}


def participation(rounds: Mapping[int, Round]) -> dict[str, int]:
    """Return in how many released rounds each participant's contribution counted."""
    counts: dict[str, int] = {}
    for each in _released(rounds):
        for entry in each.committed:
            counts[entry.participant] = counts.get(entry.participant, 0) + 1
    return counts


def _released(rounds: Mapping[int, Round]) -> list[Round]:
    return [rounds[number] for number in sorted(rounds) if rounds[number].phase is Phase.DONE]


def _salts_of(stored: Statement) -> dict[str, Salts]:
    return {
        each.payee: Salts(bytes.fromhex(each.salt), bytes.fromhex(each.entry_salt))
        for each in stored.entitlements
    }


def _named(number: int) -> str:
    return f"{number:06d}"


def _committed(number: int) -> str:
    return f"{_COMMITTED}{number:06d}"


def _final(number: int) -> str:
    return f"final-{number:06d}"


def _closed(number: int) -> str:
    return f"{_CLOSED}{number:06d}"
