"""Hold a round's commit on the chain against its contributions, as an auditor of that round."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from participant.config import ProgrammeAccess
from participant.joining.versions import named_by_plan
from participant.opening.frozen import check_frozen_cohort
from participant.policy import plans as policies
from participant.settling.dossier import FOLDER, Dossier, Dossiers, Standing
from participant.settling.scored import Scored, method_for
from participant.wire.commits import Commits
from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from participant.wire.planned import check_planned
from privacy import canonical
from privacy.contribution.scores import Method
from privacy.documents import check_signer
from privacy.errors import IllegalEvent, NotYet, ProtocolError, Unavailable, WrongContext
from privacy.identifiers import COORDINATOR
from privacy.plan import SHARES, Plan
from privacy.records import Sum
from privacy.roster import Roster
from privacy.settlement import accusation
from privacy.settlement.commitment import Commit
from privacy.settlement.payable import difference
from privacy.settlement.sum_proof import Node, Opening
from privacy.signing import Purpose
from veilsum.files import write_durably

from .committed import CommitAudit, CommitFinding, Held
from .config import AuditorConfig
from .outcome import with_outcome
from .recount import Contributions

if TYPE_CHECKING:
    from participant.settling.programme import Programme


@dataclass(frozen=True)
class Desk:
    """An auditor with its way to the chain; it sends nothing there.

    Attributes:
        rosters: all versions that its members have admitted.
        out: where a proof is written; into the state folder, if None.
    """

    config: AuditorConfig
    coordinator: Coordinator
    rosters: Sequence[Roster]
    patience: Patience
    programme: "Programme"
    out: Path | None = None

    async def look(self, number: int) -> CommitFinding:
        """Return what there is to say of a round's commit; what proves it false is written.

        Raises:
            ChainUnavailable: the endpoint does not answer.
            ConfigError: rounds can be paid by several methods, and settings name none.
            RootMismatch: nobody shows the commit; or contributions are not those signed.
            NotYet, IllegalEvent, Unavailable: contributions, or the coordinator, are not there.
            ProtocolError, PrivacyError: plan or cohort are not as they must be.
        """
        round_ = await asyncio.to_thread(self.programme.round, number)
        if round_ is None:
            return CommitFinding(number, "", Standing.NONE)
        commit = await self._commit(number)
        plan, roster = await self._plan(number)
        dossier = Dossier(
            number, plan.arithmetic.encode().hex(), commit=commit, matures_at=round_.matures_at
        )
        # Before anything is asked of who is accused: with this a node can be demanded without it.
        self._dossiers().keep(dossier)
        method = self._method(plan)
        held = await asyncio.to_thread(self._unlike, commit, plan)
        held = held or await self._held(commit, plan, roster, method)
        finding = self._written(held)
        self._dossiers().keep(replace(dossier, standing=finding.standing, reason=finding.reason))
        return finding

    async def _commit(self, number: int) -> Commit:
        from participant.settling.programme import commit_of  # noqa: PLC0415  heavy

        shown: Commit | None = None
        with suppress(ProtocolError, Unavailable):
            shown = await Commits(self.coordinator).commit(number)
        return await asyncio.to_thread(commit_of, self.programme, number, shown)

    async def _plan(self, number: int) -> tuple[Plan, Roster]:
        sent = await self.coordinator.plan(number)
        named = named_by_plan(sent)
        roster = next((each for each in self.rosters if each.digest() == named), None)
        if roster is None:
            raise WrongContext(f"round {number}: the plan is under a roster nobody admitted")
        plan = check_planned(sent, roster, number)
        policies.check_audit(plan, self.config.participant, self.config.policy, roster)
        return plan, roster

    def _unlike(self, commit: Commit, plan: Plan) -> Held | None:
        """Return that nothing of the round could be proved, if the terms are not the plan's."""
        terms = self.programme.terms()
        leaves = (terms.leaves_per_chunk, terms.last_chunk_leaves)
        differs = difference(terms.arithmetic, leaves, plan)
        if not differs:
            return None
        digest = commit.digest().hex()
        return Held(CommitFinding(commit.round, digest, Standing.UNPROVED, differs))

    def _method(self, plan: Plan) -> Method:
        access = self.config.settlement
        return method_for(None if access is None else access.method, plan)

    async def _held(self, commit: Commit, plan: Plan, roster: Roster, method: Method) -> Held:
        number, policy = plan.terms.round, self.config.policy
        signed, headers = await self.coordinator.cohort(number)
        cohort = check_frozen_cohort(plan, policy, roster, signed, headers, {})
        audit = CommitAudit(
            commit,
            Contributions(self.coordinator, plan, cohort.entries, self.patience),
            Commits(self.coordinator),
            roster,
            await self._summed(number, roster) if plan.arithmetic.scheme == SHARES else "",
            lambda: self._answers(commit, plan.arithmetic.encode()),
        )
        scored = Scored(self.coordinator, plan, roster, cohort, method)
        return await with_outcome(await audit.run(), commit, scored)

    def _answers(self, commit: Commit, arithmetic: bytes) -> dict[Node, Opening]:
        from participant.settling.demand import answers_of  # noqa: PLC0415  heavy

        return answers_of(self.programme, commit, arithmetic)

    async def _summed(self, number: int, roster: Roster) -> str:
        try:
            async with self.coordinator.sum(number) as (manifest, _):
                check_signer(manifest, Purpose.SUM, COORDINATOR, roster.coordinator_key)
        except (NotYet, IllegalEvent):
            return ""  # seats' statements stand for it
        return canonical.decode(manifest.body, Sum).root

    def _written(self, held: Held) -> CommitFinding:
        if held.accusation is None:
            return held.finding
        path = self.out or self.config.state / f"proof-{held.finding.round}.json"
        write_durably(path, accusation.encode(held.accusation))
        return replace(held.finding, file=str(path))

    def _dossiers(self) -> Dossiers:
        return Dossiers(self.config.state / FOLDER)


def words_of(finding: CommitFinding) -> str:
    """Return a finding about a commit as lines for people."""
    commit = f"commit {finding.commit[:16]}…"
    match finding.standing:
        case Standing.NONE:
            return f"round {finding.round} is not committed to the chain"
        case Standing.SOUND:
            return (
                f"  {commit}: what was added is what came of it; its model and the sum of its "
                "scores are those that were signed"
            )
        case Standing.FALSE:
            return (
                f"  {commit} is false: {finding.reason}\n  proof of {finding.proof}: {finding.file}"
            )
        case Standing.WITHHELD if finding.demand is not None:
            at = finding.demand
            return (
                f"  {commit}: {finding.reason}\n  demand it: veilsum settle demand --round "
                f"{finding.round} --tree {at.tree} --chunk {at.chunk} --leaf {at.leaf} "
                f"--level {at.level} --index {at.index}"
            )
        case Standing.WITHHELD:
            return f"  {commit}: {finding.reason}"
        case _:
            return f"  {commit} is wrong: {finding.reason}"


def status_of(finding: CommitFinding) -> int:
    """Return the exit status that a finding about a commit stands for."""
    return {Standing.FALSE: 2, Standing.WITHHELD: 3, Standing.UNPROVED: 3}.get(finding.standing, 0)


async def programme_of(access: ProgrammeAccess) -> "Programme":
    """Return the programme that settings name.

    Raises:
        WrongContext, ChainUnavailable, EndpointsDiffer: as for `reach` and `programme_at`.
    """
    from participant.settling.programme import programme_at  # noqa: PLC0415  heavy
    from veilsum.chain.endpoint import reach  # noqa: PLC0415

    endpoint = await asyncio.to_thread(reach, access)
    return await asyncio.to_thread(programme_at, endpoint, access.contract, access.programme)
