"""Cohorts and sums: who was added up, what came of it, and the auditor's word that it is so.

Where a plan names an auditor, no sum leaves for openers before the auditor has signed its
manifest. Nobody but that auditor is handed contributions: until it has answered, and again while
the round's commit on a chain can be disputed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import ObjectStore, Store
from coordinator.rounds import round as machine
from coordinator.rounds.moving import Moving
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round
from coordinator.upkeep.retention import Demands, nobody_demands
from privacy import canonical
from privacy.documents import Signed, check_signer, unpack
from privacy.errors import IllegalEvent, NotYet, WrongIdentity
from privacy.records import Cohort
from privacy.signing import Purpose

log = structlog.get_logger()


@dataclass(frozen=True)
class Sums:
    """What is given out of a round that is added up, and to whom.

    Attributes:
        in_dispute: whether what a released round's commit was made from may still be asked for.
    """

    rounds: Rounds
    archive: Archive
    store: Store
    objects: ObjectStore
    rosters: Rosters
    moving: Moving
    in_dispute: Demands = nobody_demands

    # -- what is given out ---------------------------------------------------------

    def cohort(self, caller: str, number: int) -> tuple[Signed, list[Signed]]:
        """Return the signed cohort and the signed header of each contribution in it.

        Raises:
            NotYet: the round is not added up yet, or its auditor has not answered.
        """
        current = self.rounds.get(number)
        if not current.cohort:
            raise NotYet(f"the cohort of round {number} is not frozen yet")
        _check_answered(current, caller)
        # With signatures: under `shares` those of its certificate, as many as there are.
        signed, headers = self.archive.with_signatures("cohort", current.cohort), []
        for entry in canonical.decode(signed.body, Cohort).entries:
            upload = self.store.upload(number, entry.participant)
            assert upload is not None  # a committed entry has its upload's row for good
            headers.append(unpack(upload.header))
        return signed, headers

    def manifest(self, caller: str, number: int) -> Signed:
        """Return the manifest of the round's sum, countersigned if the plan names an auditor.

        The auditor itself is given it before that, with the coordinator's signature alone.

        Raises:
            NotYet: the round is not added up yet, or its auditor has not answered.
            IllegalEvent: the round was aborted: nobody opens its sum.
            WrongIdentity: the caller is neither opener nor auditor of the round.
        """
        current = self._readable(caller, number)
        if current.phase is Phase.AUDITING:
            return self.archive.document("sum", current.sum)
        return self.archive.with_signatures("sum", current.sum)

    def chunk(self, caller: str, number: int, chunk: int) -> bytes:
        """Return one chunk of the protected sum, under the same conditions as its manifest."""
        self._readable(caller, number)
        payload = self.objects.get(names.sum_chunk(number, chunk))
        self.moving.given(number, caller, "sum", chunk)
        return payload

    def masks(self, caller: str, number: int) -> list[tuple[str, bytes]]:
        """Return each of the cohort, in its order, and its mask's secret sealed to the caller.

        Raises:
            NotYet, IllegalEvent, WrongIdentity: as for `manifest`; an auditor is no opener.
        """
        if caller not in self.rounds.get(number).rules.openers:
            raise WrongIdentity(f"{caller} is no opener of round {number}")
        cohort = [entry.participant for entry in self._readable(caller, number).committed]
        return [(who, self.objects.get(names.sealed_mask(number, who, caller))) for who in cohort]

    # -- the audit -----------------------------------------------------------------

    def to_audit(self, caller: str, number: int, first: int) -> Iterator[tuple[int, str]]:
        """Return what the auditor adds again: chunks from `first` on, of each one by participant.

        Raises:
            NotYet, IllegalEvent: the round does not wait for its auditor, yet or any more, and no
                commit of it can be disputed.
            WrongIdentity: the caller is not that auditor.
        """
        current = self._audited(caller, number)
        chunks = range(first, self.archive.plan(number).arithmetic.chunks)
        return ((chunk, entry.participant) for chunk in chunks for entry in current.committed)

    def contribution(self, caller: str, number: int, participant: str, chunk: int) -> bytes:
        """Return one chunk of one contribution, under the same conditions as `to_audit`."""
        current = self._audited(caller, number)
        payload = self.objects.get(names.contribution_chunk(number, participant, 0, chunk))
        position = [entry.participant for entry in current.committed].index(participant)
        if current.phase is Phase.AUDITING:  # a round that is done waits for nobody
            self.moving.given(number, caller, "contributions", chunk, position)
        return payload

    def countersign(self, caller: str, number: int, signature: bytes) -> None:
        """Take the auditor's signature on the manifest of the sum; openers may then open it.

        Raises:
            IllegalEvent: the round does not wait for it.
            WrongIdentity: the caller is not the round's auditor.
            InvalidSignature: its key has not signed this manifest.
        """
        with self.rounds.lock:
            current = self.rounds.get(number)
            event = machine.Countersigned(caller, current.sum)
            machine.step(current, event)
            signed = Signed(self.archive.document("sum", current.sum).body, {caller: signature})
            roster = self.rosters.under(self.archive.plan(number).terms.roster)
            key = roster.member(caller).signing_key
            check_signer(signed, Purpose.SUM, caller, key)
            self.archive.keep_signature("sum", current.sum, caller, signature)
            self.rounds.apply(number, event)
        log.info("sum_countersigned", round=number, auditor=caller)

    def _readable(self, caller: str, number: int) -> Round:
        current = self.rounds.get(number)
        if not current.sum:
            raise NotYet(f"round {number} has no sum yet")
        if caller not in (*current.rules.openers, current.rules.auditor):
            raise WrongIdentity(f"{caller} neither opens nor audits round {number}")
        if current.phase is Phase.ABORTED:
            raise IllegalEvent(f"round {number} is aborted: nobody opens its sum")
        _check_answered(current, caller)
        return current

    def _audited(self, caller: str, number: int) -> Round:
        current = self.rounds.get(number)
        if caller != current.rules.auditor:
            raise WrongIdentity(f"{caller} is not the auditor of round {number}")
        if not current.sum:
            raise NotYet(f"round {number} has no sum yet")
        if current.phase is Phase.DONE and self.in_dispute(number):
            return current
        if current.phase is not Phase.AUDITING:
            raise IllegalEvent(f"round {number} is {current.phase}: it is not audited any more")
        return current


def _check_answered(current: Round, caller: str) -> None:
    if current.phase is Phase.AUDITING and caller != current.rules.auditor:
        raise NotYet(f"round {current.number} waits for its auditor, {current.rules.auditor}")
