"""Challenge a round with a proof: seal it, wait a block, show it, and collect the reward."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from privacy.errors import ChainUnavailable, IllegalEvent, WrongContext
from privacy.settlement import abi
from privacy.settlement.accusation import Accusation
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import address_word, keccak256
from veilsum.chain.endpoint import Call, Endpoint, Receipt, checksummed
from veilsum.chain.journal import Journal
from veilsum.chain.signing import Signer

from .collect import collect
from .programme import Programme, Round, programme_at

BLOCK_SECONDS: Final = 60.0
"""How long the next block is waited for: five of Ethereum's."""

_POLL_SECONDS: Final = 0.5

Sleep = Callable[[float], None]


class Challenged(msgspec.Struct, frozen=True):
    """What came of a challenge: token units, and gas by transaction.

    Attributes:
        slashed: what the coordinator lost; half of it, `rewarded`, is the challenger's.
        collected: what the vault has paid out to the challenger, this reward and earlier ones.
        transaction: that of the challenge.
    """

    round: int
    kind: str
    challenger: str
    transaction: str
    slashed: str
    rewarded: str
    burned: str
    collected: str
    gas: dict[str, int]


@dataclass(frozen=True)
class Challenger:
    """Whoever has a proof, a key with some ether, and the way to the chain.

    Attributes:
        contract: the address of the settlement; never taken from the proof.
    """

    endpoint: Endpoint
    key: Signer
    journal: Journal
    contract: str
    sleep: Sleep = time.sleep

    def challenge(self, accusation: Accusation) -> Challenged:
        """Have a round voided by a proof, once for each proof, and return what was slashed.

        The proof is judged first, for nothing, by the contract that judges it later; and it is
        sealed a block before it is shown, so that nobody who sees it can be first with it.

        Raises:
            WrongContext: the proof is of another commit than the chain's, proves nothing, or
                comes too late: the round has matured, or is void already.
            IllegalEvent: the contract refuses.
            ChainUnavailable: no answer, or no block in time; run this again.
        """
        programme = programme_at(self.endpoint, self.contract, accusation.commit.programme)
        seal = seal_of(accusation, self.key.address)
        purpose = f"challenge-{seal.hex()}"
        done = self.endpoint.recall(self.journal, purpose)
        if done is None:
            self._require_guilty(programme, accusation)
            self._seal(programme, seal)
            call = programme.settlement.functions.challenge(
                fields(accusation.commit), accusation.number(), accusation.body()
            )
            done = self._send(programme, accusation, purpose, call)
        return self._challenged(programme, accusation, seal, done)

    def _send(
        self, programme: Programme, accusation: Accusation, purpose: str, call: Call
    ) -> Receipt:
        try:
            return self.endpoint.send(self.key, self.journal, purpose, call)
        except IllegalEvent as error:
            # The next block's time is not the newest one's.
            if "SettlementMatured" not in str(error):
                raise
            found = programme.round(accusation.commit.round)
            raise _too_late(accusation.commit, found.matures_at if found else 0) from None

    def _require_guilty(self, programme: Programme, accusation: Accusation) -> None:
        commit = accusation.commit
        round_ = disputable(programme, commit)
        before = programme.round(round_.previous)
        context = context_of(programme, commit, before.payouts if before else bytes(32))
        verdict = programme.verifier.functions.verdict
        try:
            guilty = self.endpoint.read(verdict(context, accusation.number(), accusation.body()))
        except IllegalEvent:
            guilty = False  # bytes that are no proof of this kind
        if not guilty:
            raise WrongContext(
                f"the proof ({accusation.kind}) proves nothing against round {commit.round}; "
                "nothing was sent. Whoever made it must look again"
            )

    def _seal(self, programme: Programme, seal: bytes) -> None:
        sealed_at = programme.settlement.functions.sealedAt(seal)
        if not self.endpoint.read(sealed_at):
            call = programme.settlement.functions.seal(seal)
            self.endpoint.send(self.key, self.journal, f"seal-{seal.hex()}", call)
        waited = 0.0
        while programme.height() <= int(self.endpoint.read(sealed_at)):
            if waited >= BLOCK_SECONDS:
                raise ChainUnavailable("no block has followed the seal yet; run this again")
            self.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS

    def _challenged(
        self, programme: Programme, accusation: Accusation, seal: bytes, done: Receipt
    ) -> Challenged:
        gas = {"challenge": done.gas}
        sealed = self.endpoint.recall(self.journal, f"seal-{seal.hex()}")
        if sealed is not None:
            gas["seal"] = sealed.gas
        # Without a bond nothing is slashed, and the round is void all the same.
        slashed = self.endpoint.events(programme.vault, "Slashed", done)
        rewarded = sum(each["rewarded"] for each in slashed)
        burned = sum(each["burned"] for each in slashed)
        paid = collect(programme, self.key, self.journal, f"collect-{seal.hex()}")
        if paid.gas is not None:
            gas["collect"] = paid.gas
        return Challenged(
            round=accusation.commit.round,
            kind=accusation.kind,
            challenger=self.key.address.lower(),
            transaction=done.transaction,
            slashed=str(rewarded + burned),
            rewarded=str(rewarded),
            burned=str(burned),
            collected=str(paid.amount),
            gas=dict(sorted(gas.items())),
        )


def seal_of(accusation: Accusation, challenger: str) -> bytes:
    """Return what a challenger seals, as the contract has it in `sealOf`: 32 bytes."""
    programme = bytes.fromhex(accusation.commit.programme)
    place = programme + abi.uint(accusation.commit.round) + address_word(challenger)
    return keccak256(place + keccak256(accusation.body()))


def fields(commit: Commit) -> tuple[object, ...]:
    """Return a commit in the contract's order and types."""
    words = (commit.plan, commit.cohort, commit.sum_trees, commit.sum, commit.model)
    return (
        bytes.fromhex(commit.programme),
        commit.round,
        bytes.fromhex(commit.parent),
        commit.slots,
        *map(bytes.fromhex, (*words, commit.payouts)),
        int(commit.total),
        int(commit.budget),
        int(commit.scores),
    )


def context_of(programme: Programme, commit: Commit, payouts_before: bytes) -> tuple[Any, ...]:
    """Return what the verifier is told of a commit, as the settlement tells it."""
    terms = programme.terms()
    domain = programme.endpoint.read(programme.settlement.functions.domainSeparator())
    return (
        programme.endpoint.chain_id,
        programme.settlement.address,
        domain,
        checksummed(terms.coordinator),
        terms.arithmetic,
        terms.leaves_per_chunk,
        terms.last_chunk_leaves,
        payouts_before,
        fields(commit),
    )


def disputable(programme: Programme, commit: Commit) -> Round:
    """Return the round of a commit that can be challenged now.

    Raises:
        WrongContext: the chain has another commit, or the round is void, or has matured.
    """
    found = programme.round(commit.round)
    if found is None or found.commit != commit.digest():
        raise WrongContext(
            f"the chain has another commit for round {commit.round}, or none; the proof is "
            "against nothing that was committed there"
        )
    if programme.state().is_void(commit.round):
        raise WrongContext(f"round {commit.round} is void already; nothing is left to slash")
    if programme.time() >= found.matures_at:
        raise _too_late(commit, found.matures_at)
    return found


def _too_late(commit: Commit, matured_at: int) -> WrongContext:
    return WrongContext(
        f"round {commit.round} has matured at Unix time {matured_at}; it can be challenged no more"
    )
