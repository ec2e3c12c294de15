"""A programme as the chain has it: terms, rounds, bonds, and the chain's own time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from privacy.errors import NotYet, RootMismatch, WrongContext
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import parse_address
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Contract, Endpoint, checksummed, translated
from veilsum.chain.logs import block_at

RUNNING: Final = (1 << 64) - 1
"""Where the contract names the first void round: there is none."""

_NOBODY: Final = "0x" + "00" * 20


@dataclass(frozen=True, slots=True)
class Terms:
    """What a reader needs of a programme's terms; times in seconds, amounts in token units."""

    token: str
    coordinator: str
    end: int
    window: int
    response: int
    bond: int
    demand_bond: int
    arithmetic: bytes
    leaves_per_chunk: int
    last_chunk_leaves: int


@dataclass(frozen=True, slots=True)
class State:
    """How far a programme is; `void_from` is the first round that is void, if any is."""

    funded: int
    paid: int
    settled: int
    head: int
    void_from: int | None

    def is_void(self, number: int) -> bool:
        """Return whether a round was proved wrong, or follows one that was."""
        return self.void_from is not None and number >= self.void_from


@dataclass(frozen=True, slots=True)
class Round:
    """What the contract keeps of a round: `commit` and `payouts` have 32 bytes each.

    Attributes:
        matures_at: Unix time from which it is claimed from, and no longer challenged.
        previous: the round before it, 0 for the first.
    """

    number: int
    commit: bytes
    payouts: bytes
    total: int
    matures_at: int
    previous: int


@dataclass(frozen=True, slots=True)
class Stake:
    """What an account has in the vault: its bond, and what is on its way out of it."""

    bonded: int
    thawing: int
    thaws_at: int


@dataclass(frozen=True, slots=True)
class Programme:
    """An open programme of a contract whose code, and whose verifier's, is this version's."""

    endpoint: Endpoint
    settlement: Contract
    vault: Contract
    verifier: Contract
    word: bytes

    def terms(self) -> Terms:
        """Return its terms, which never change.

        Raises:
            WrongContext: there is no such programme on this contract.
            ChainUnavailable: the endpoint does not answer.
        """
        found = self._ask("termsOf", self.word)
        if found[1] == _NOBODY:
            raise WrongContext(
                f"programme {self.word.hex()[:16]}… is not open on {self.settlement.address}; "
                "whoever configured it must correct it"
            )
        token, coordinator, _, _, _, _, end, window, response, bond, demand_bond, *rest = found
        return Terms(
            parse_address(token),
            parse_address(coordinator),
            end, window, response, bond, demand_bond, bytes(rest[0]), rest[1], rest[2],
        )  # fmt: skip

    def judges(self) -> tuple[tuple[str, ...], int]:
        """Return whose verdicts count, in lowercase, and how many of them make one."""
        _, _, _, _, judges, needed, *_ = self._ask("termsOf", self.word)
        return tuple(str(each).lower() for each in judges), int(needed)

    def state(self) -> State:
        """Return how far it is."""
        funded, paid, settled, head, void_from = self._ask("stateOf", self.word)
        return State(funded, paid, settled, head, None if void_from == RUNNING else void_from)

    def round(self, number: int) -> Round | None:
        """Return what is kept of a round, a void one too; None if there is no such round."""
        commit, payouts, total, matures_at, previous = self._ask("roundOf", self.word, number)
        if not matures_at:
            return None
        return Round(number, bytes(commit), bytes(payouts), total, matures_at, previous)

    def committed(self, number: int) -> Commit | None:
        """Return the commit of a round as it was sent, if the endpoint has it.

        The chain keeps the second in which it was sent: of all blocks only those of that second
        are searched, however old the round is.

        Raises:
            ChainUnavailable: no answer, or this endpoint keeps no events that old.
        """
        found = self.round(number)
        if found is None:
            return None
        moment = found.matures_at - self.terms().window
        first, end = (block_at(self.endpoint, each) for each in (moment, moment + 1))
        with translated():
            logs = self.settlement.events.Committed().get_logs(
                from_block=first,
                to_block=max(end - 1, first),
                argument_filters={"programme": self.word, "round": number},
            )
        for each in reversed(logs):  # of a fork that was undone there is none
            return _commit(each["args"]["commit"])
        return None

    def newest(self, state: State) -> Iterator[Round]:
        """Yield the rounds from the newest backwards; of void ones, the first alone."""
        number = state.head if state.void_from is None else state.void_from
        while (found := self.round(number)) is not None:
            yield found
            number = found.previous

    def is_paused(self) -> bool:
        """Return whether the guardian holds up commits."""
        return bool(self._ask("isPaused", self.word))

    def claimed_by(self, payee: str) -> int:
        """Return what a payee was paid, in token units."""
        return int(self._ask("claimedBy", self.word, checksummed(payee)))

    def stake_of(self, account: str) -> Stake:
        """Return what an account has in the vault, in this programme."""
        call = self.vault.functions.stakeOf(self.word, checksummed(account))
        return Stake(*self.endpoint.read(call))

    def credit_of(self, account: str) -> int:
        """Return what the vault owes an account, in units of this programme's token."""
        token = checksummed(self.terms().token)
        call = self.vault.functions.creditOf(token, checksummed(account))
        return int(self.endpoint.read(call))

    def token(self) -> Contract:
        """Return its token, as ERC-20 has it."""
        return self.endpoint.at(load("DemoToken"), self.terms().token)

    def height(self) -> int:
        """Return the number of the newest block."""
        with translated():
            return int(self.endpoint.web3.eth.block_number)

    def time(self) -> int:
        """Return the Unix time of the newest block, by which the contract goes."""
        with translated():
            return int(self.endpoint.web3.eth.get_block("latest")["timestamp"])

    def _ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 (the ABI decides)
        return self.endpoint.read(self.settlement.functions[name](*arguments))


def commit_of(programme: Programme, number: int, shown: Commit | None = None) -> Commit:
    """Return the commit of a round, as the chain has it.

    Args:
        shown: what somebody says it is; without it the endpoint is searched.

    Raises:
        NotYet: nothing is committed for that round.
        RootMismatch: another one was shown, and the endpoint does not have it any more.
        ChainUnavailable: the endpoint does not answer.
    """
    round_ = programme.round(number)
    if round_ is None:
        raise NotYet(f"round {number} is not committed to the chain")
    if shown is None or shown.digest() != round_.commit:
        shown = programme.committed(number)
    if shown is None or shown.digest() != round_.commit:
        raise RootMismatch(
            f"the chain keeps {round_.commit.hex()[:16]}… for round {number}, and nobody shows "
            "what that is the hash of: not the coordinator, and not this endpoint; use one that "
            "keeps events that old"
        )
    return shown


def programme_at(endpoint: Endpoint, contract: str, programme: str) -> Programme:
    """Return a programme of the contract at an address.

    Raises:
        WrongContext, ChainUnavailable: as for `contracts_at`.
    """
    return Programme(endpoint, *contracts_at(endpoint, contract), bytes.fromhex(programme))


def _commit(fields: Any) -> Commit:  # noqa: ANN401 (the ABI decides)
    words = ("programme", "parent", "plan", "cohort", "payouts", "sum", "model")
    return Commit(
        **{name: bytes(fields[name]).hex() for name in words},
        sum_trees=bytes(fields["sumTrees"]).hex(),
        round=int(fields["round"]),
        slots=int(fields["slots"]),
        **{name: str(fields[name]) for name in ("total", "budget", "scores")},
    )


def contracts_at(endpoint: Endpoint, contract: str) -> tuple[Contract, Contract, Contract]:
    """Return the settlement at an address, its vault and its verifier.

    A settlement is given its verifier when it is deployed, and one that finds nobody guilty would
    look the same: so the code of all three contracts is compared.

    Raises:
        WrongContext: code there is not that of this version's contracts.
        ChainUnavailable: the endpoint does not answer.
    """
    settlement = endpoint.deployed("Settlement", contract)
    vault = str(endpoint.read(settlement.functions.vault()))
    verifier = str(endpoint.read(settlement.functions.verifier()))
    return (
        settlement,
        endpoint.deployed("StakeVault", vault),
        endpoint.deployed("SumVerifier", verifier),
    )
