"""Judges: what a seat lied about is examined, signed by a quorum, and costs the seat its bond.

The contract is shown no proof: under `shares` no word may be published, so the judges of the
programme's terms stand for it. Who submits needs a key with some ether, and gets nothing of what
is slashed: all of it burns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from privacy.errors import IllegalEvent, WrongContext
from privacy.roster import Roster
from privacy.settlement import verdict as verdicts
from privacy.settlement.verdict import Accused, Evidence, SignedVerdict
from veilsum.chain.digests import sign_typed, signer_of_digest
from veilsum.chain.endpoint import Receipt, checksummed
from veilsum.chain.journal import Journal
from veilsum.chain.signing import Signer

from .programme import Programme


class Judged(msgspec.Struct, frozen=True):
    """What came of a verdict: token units, all of which burned, and gas.

    Attributes:
        accused: the account that lost its bond.
        judges: how many signed.
    """

    round: int
    accused: str
    judges: int
    slashed: str
    transaction: str
    gas: int


@dataclass(frozen=True)
class Court:
    """One key before a programme: a judge's, or that of whoever submits what judges signed."""

    programme: Programme
    key: Signer
    journal: Journal

    def examine(self, evidence: Evidence, roster: Roster) -> Accused:
        """Return whom evidence is against, if it holds and the chain would hear it.

        Raises:
            WrongContext: it is for another programme, no such round is committed, or it has
                matured; or as for `verdict.examine`.
            InvalidSignature, WrongIdentity, RootMismatch, MalformedMessage: as there.
            ChainUnavailable: the endpoint does not answer.
        """
        accused = verdicts.examine(evidence, roster, signer_of_digest)
        self._require_here(accused)
        self._require_open(accused)
        return accused

    def judge(self, accused: Accused) -> SignedVerdict:
        """Return this judge's verdict; nothing is sent.

        Raises:
            WrongContext: this key is no judge of the programme.
            InvalidSignature: a signer elsewhere signed something else.
            ChainUnavailable: it does not answer, or refuses.
        """
        judges, _ = self.programme.judges()
        me = self.key.address.lower()
        if me not in judges:
            raise WrongContext(
                f"{me} is no judge of this programme; they are {', '.join(judges) or 'nobody'}"
            )
        return verdicts.sign_verdict(accused, me, partial(sign_typed, self.key))

    def submit(self, accused: Accused, signed: Sequence[SignedVerdict]) -> Judged:
        """Have a verdict carried out, once; return what was slashed.

        Raises:
            WrongContext: fewer judges than are needed have signed it, or one signed another; it
                was carried out before by somebody else, or the round has matured meanwhile.
            InvalidSignature: a judge has not signed what is in its name.
            IllegalEvent: the contract refuses for another reason.
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        judges, needed = self.programme.judges()
        signatures = verdicts.quorum(accused, signed, judges, needed, signer_of_digest)
        purpose = f"verdict-{accused.digest().hex()}"
        endpoint = self.programme.endpoint
        done = endpoint.recall(self.journal, purpose)
        if done is None:
            done = self._send(accused, signatures, purpose)
        slashed = endpoint.events(self.programme.vault, "Slashed", done)
        return Judged(
            round=accused.round,
            accused=accused.account,
            judges=len(signatures),
            slashed=str(sum(each["rewarded"] + each["burned"] for each in slashed)),
            transaction=done.transaction,
            gas=done.gas,
        )

    def _send(self, accused: Accused, signatures: Sequence[bytes], purpose: str) -> Receipt:
        call = self.programme.settlement.functions.slashByVerdict(
            self.programme.word,
            accused.round,
            checksummed(accused.account),
            accused.evidence,
            list(signatures),
        )
        try:
            return self.programme.endpoint.send(self.key, self.journal, purpose, call)
        except IllegalEvent as error:
            if "SettlementAlreadyJudged" in str(error):
                raise WrongContext(
                    f"round {accused.round}: this verdict was carried out before; nothing is left "
                    "to do"
                ) from None
            if "SettlementMatured" in str(error):
                self._require_open(accused)  # the next block's time is not the newest one's
            raise

    def _require_here(self, accused: Accused) -> None:
        programme, domain = self.programme, accused.domain
        contract = str(programme.settlement.address).lower()
        here = (programme.endpoint.chain_id, contract, programme.word.hex())
        if here != (domain.chain_id, domain.contract, domain.programme):
            raise WrongContext(
                f"{accused.seat} pledged for programme {domain.programme[:16]}… on "
                f"{domain.contract}, chain {domain.chain_id}; these settings name {here[2][:16]}… "
                f"on {contract}, chain {here[0]}"
            )

    def _require_open(self, accused: Accused) -> None:
        found = self.programme.round(accused.round)
        if found is None:
            raise WrongContext(
                f"round {accused.round} is not committed on the chain; nobody loses a bond for it "
                "before that"
            )
        if self.programme.time() >= found.matures_at:
            raise WrongContext(
                f"round {accused.round} has matured at Unix time {found.matures_at}; verdicts on "
                "it come too late"
            )
