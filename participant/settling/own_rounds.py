"""A site's rounds on the chain: a receipt after each freeze, a look at each commit in its window.

What a round was sent stays in the outbox until its commit has matured, so that it can be disputed.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

import structlog
from msgspec.structs import replace

from participant.config import SiteConfig
from participant.joining.versions import Versions, named_by_plan
from participant.kept import FOLDER as KEPT
from participant.kept import Kept
from participant.sending.outbox import Outbox
from participant.sending.sign import read_header
from participant.wire.commits import Commits, Promise
from participant.wire.coordinator import Coordinator
from participant.wire.planned import check_planned
from privacy import canonical
from privacy.documents import check_signer
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    FalseCommit,
    FalsePayout,
    InvalidSignature,
    NotYet,
    PrivacyError,
    ProtocolError,
    Unavailable,
    VeilsumError,
    WrongContext,
)
from privacy.identifiers import COORDINATOR
from privacy.plan import CKKS, Plan
from privacy.records import Cohort, Entry, digest_of
from privacy.roster import Roster
from privacy.settlement import accusation
from privacy.settlement.commitment import Cohort as Slots
from privacy.settlement.commitment import Commit, cohort_of, receipt_digest
from privacy.settlement.payable import difference
from privacy.settlement.payouts import Entitlement
from privacy.settlement.sum_proof import Node, Opening
from privacy.signing import Purpose
from veilsum.files import write_durably

from .dossier import FOLDER, Dossier, Dossiers, Receipt, Standing
from .named_model import unlike_released
from .own_round import SOUND, Judged, OwnRound
from .payout import Payouts
from .scored import Scored, method_for

if TYPE_CHECKING:
    from .programme import Programme, Round

log = structlog.get_logger()

LOOKS_A_WINDOW: Final = 20
"""How often a commit is looked for in the time in which it can be challenged."""

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.5, 10.0

_OF_COMMIT: Final = "commit_"
_MOST_SAID: Final = 100
"""Things of one round, in a log: a search demands fewer, and reasons could vary for ever."""

_PATIENT_PART: Final = 0.25
"""The part of a window for which silence may be an accident."""


@dataclass
class OwnRounds:
    """The rounds that a site has sent to, as long as their commits can be disputed.

    Without a chain in its settings a site has none.
    """

    config: SiteConfig
    payouts: Payouts
    clock: Callable[[], float] = time.time
    _programme: "Programme | None" = field(default=None, init=False, repr=False)
    _over: set[int] = field(default_factory=set, init=False, repr=False)
    _seconds: float = field(default=_SHORTEST_SECONDS, init=False, repr=False)
    _damaged: set[int] = field(default_factory=set, init=False, repr=False)
    _said: dict[int, set[tuple[str, str]]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.dossiers = Dossiers(self.config.state / FOLDER)
        self._looking = asyncio.Lock()

    # -- what stays --------------------------------------------------------------------

    def begin(self, plan: Plan, roster: Roster, outbox: Outbox) -> None:
        """Keep what will be needed to look at the commit of a round that was just sent to.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        header = outbox.header()
        if self.config.settlement is None or header is None:
            return
        number = plan.terms.round
        if number in self.dossiers.rounds():
            return  # a damaged one, too: it may have a receipt
        read = read_header(header.body)
        entry = Entry(read.participant, digest_of(read), tuple(each.root for each in read.pieces))
        trainers = [each.participant for each in roster.trainers()]
        (slot,) = cohort_of((entry,), trainers).slots
        self.dossiers.keep(
            Dossier(
                round=number,
                arithmetic=plan.arithmetic.encode().hex(),
                scheme=plan.arithmetic.scheme,
                plan=plan.digest(),
                slot_id=slot.slot_id,
                contribution=slot.contribution.hex(),
            )
        )

    def holds(self) -> frozenset[int]:
        """Return the rounds whose upload must stay; under `shares` no dispute needs one."""
        if self.config.settlement is None:
            return frozenset()
        needed = {each.round for each in self._open() if each.scheme == CKKS}
        return self._unopened() | needed | self._damaged

    def sweep(self) -> None:
        """Erase uploads whose rounds can be disputed no more; an agent may be at work beside it."""
        self._open()
        for number in self._over:
            Outbox(self.config.state / "outbox", number).erase()

    def _unopened(self) -> frozenset[int]:
        """Return rounds that this site has sent to, and died before it kept more of them."""
        outbox, known = self.config.state / "outbox", set(self.dossiers.rounds())
        sent = {int(path.parent.name) for path in outbox.glob("[0-9]" * 6 + "/header")}
        return frozenset(sent - known)

    def _open(self) -> tuple[Dossier, ...]:
        numbers = [number for number in self.dossiers.rounds() if number not in self._over]
        found = [each for number in numbers if (each := self._readable(number)) is not None]
        now = self.clock()
        self._over |= {each.round for each in found if each.is_over(now)}
        return tuple(each for each in found if each.round not in self._over)

    def _readable(self, number: int) -> Dossier | None:
        """Return a round's dossier; a damaged one is said, and keeps its own upload alone."""
        self._damaged.discard(number)
        try:
            return self.dossiers.of(number)
        except ConfigError as error:
            self._damaged.add(number)
            self._say(
                number,
                "dossier_damaged",
                reason=str(error),
                who_acts="this site's operator",
                action="restore it, or take it away: then it is made again, without its receipt",
            )
            return None

    # -- looking -----------------------------------------------------------------------

    async def watch(self, coordinator: Coordinator, versions: Versions) -> None:
        """Look at this site's rounds, for ever."""
        if self.config.settlement is None:
            return
        # To load it takes seconds, and a window may be short.
        await asyncio.to_thread(import_module, "veilsum.chain.endpoint")
        while True:
            try:
                await self.look(coordinator, versions)
            except Exception as error:  # rounds never depend on the chain
                log.error("unexpected_error", exc_info=error)
            await asyncio.sleep(self._seconds)

    async def look(self, coordinator: Coordinator, versions: Versions) -> None:
        """Look at each round whose commit was not found sound yet; say what is wrong, once."""
        async with self._looking:  # the end of the programme looks, too
            await self._look(coordinator, versions)

    async def _look(self, coordinator: Coordinator, versions: Versions) -> None:
        for number in self._unopened():
            try:
                plan, roster = await self._planned(number, coordinator, versions)
                self.begin(plan, roster, Outbox(self.config.state / "outbox", number))
            except (Unavailable, ProtocolError) as error:
                self._say(number, "not_now", reason=str(error))
        for each in self._open():
            if each.standing not in (Standing.OPEN, Standing.WITHHELD):
                continue
            try:
                await self._look_at(each, coordinator, versions)
            except Unavailable as error:
                self._say(each.round, "not_now", reason=str(error))
            except VeilsumError as error:
                # Of one round; the others are looked at all the same.
                self._say(each.round, "commit_not_checked", code=error.code, reason=str(error))

    async def finish(self, coordinator: Coordinator, versions: Versions) -> None:
        """Look once more, now that all is said to be settled, and return if none was found false.

        What was not committed by then, or not found sound, stays as it is, and its upload with it.

        Raises:
            FalseCommit: one was, and is not void yet; the message names the proof.
            ChainUnavailable: the endpoint does not answer.
        """
        await self.look(coordinator, versions)
        state = None if self._programme is None else await asyncio.to_thread(self._programme.state)
        for each in self._open():
            if each.standing is Standing.FALSE and not (state and state.is_void(each.round)):
                raise FalseCommit(
                    f"round {each.round}: {each.reason}; challenge it before it matures, with "
                    f"{self.payouts.proof(each.round)}"
                )
            if each.standing in (Standing.OPEN, Standing.WITHHELD):
                # That all is settled is the coordinator's word alone.
                self._say(
                    each.round,
                    "settled_unseen",
                    reason=each.reason or "its commit was not seen, or not looked at to the end",
                    who_acts="this site's operator",
                    action="run the agent again before it matures, and ask the auditor",
                )

    async def _look_at(
        self, dossier: Dossier, coordinator: Coordinator, versions: Versions
    ) -> None:
        shown, number = Commits(coordinator), dossier.round
        programme = await asyncio.to_thread(self._reached)
        if dossier.receipt is None:
            dossier = await self._received(dossier, shown, programme)
        programme = programme or await self._met(shown, number)
        if programme is None:
            return
        round_ = await asyncio.to_thread(programme.round, number)
        if round_ is None:
            await self._uncommitted(dossier, programme)
            return
        commit = dossier.commit or await self._commit(programme, shown, number)
        dossier = replace(dossier, commit=commit, matures_at=round_.matures_at)
        self.dossiers.keep(dossier)
        judged = await self._judged(dossier, commit, coordinator, versions, programme, round_)
        self._keep(dossier, judged)

    async def _received(
        self, dossier: Dossier, shown: Commits, programme: "Programme | None"
    ) -> Dossier:
        """Return the dossier with the site's receipt, if there is one that holds."""
        try:
            promise = await shown.receipt(dossier.round)
            await asyncio.to_thread(self._check_promise, dossier, promise, programme)
        except ChainUnavailable as error:
            # The coordinator's key cannot sign now; the next look asks again.
            self._say(dossier.round, "receipt_later", reason=str(error))
            return dossier
        except Unavailable:
            return dossier  # the chain can be asked all the same
        except (ProtocolError, PrivacyError) as error:
            # Who shows nonsense for a receipt has a commit that is looked at, like everybody's.
            self._say(dossier.round, "no_receipt", reason=str(error))
            return dossier
        receipt = Receipt(
            promise.domain,
            promise.slot.slot_id,
            promise.slot.contribution.hex(),
            promise.signature.hex(),
        )
        kept = replace(dossier, receipt=receipt)
        self.dossiers.keep(kept)
        log.info("receipt_kept", round=dossier.round)
        return kept

    def _check_promise(
        self, dossier: Dossier, promise: Promise, programme: "Programme | None"
    ) -> None:
        from veilsum.chain.digests import signer_of_digest  # noqa: PLC0415  heavy

        assert self.config.settlement is not None  # else there is no dossier
        access, domain = self.config.settlement, promise.domain
        place = (domain.chain_id, domain.contract)
        if place != (access.chain_id, access.contract.lower()) or promise.slot != dossier.slot():
            raise WrongContext(
                f"round {dossier.round}: a receipt for another chain, contract or contribution"
            )
        if programme is None or domain.programme != programme.word.hex():
            programme = self._programme_of(domain.programme)
        signer = signer_of_digest(
            receipt_digest(domain, dossier.round, promise.slot), promise.signature
        )
        if signer != programme.terms().coordinator:
            raise InvalidSignature(
                f"round {dossier.round}: the receipt is signed by {signer}, and not by the "
                "programme's coordinator"
            )
        self._adopt(programme)

    async def _met(self, shown: Commits, number: int) -> "Programme | None":
        """Return the programme that a receipt or a commit names, once there is one."""
        if self._programme is None:
            try:
                named = (await shown.commit(number)).programme
            except NotYet:
                return None
            return await asyncio.to_thread(self._programme_named, named)
        return self._programme

    async def _uncommitted(self, dossier: Dossier, programme: "Programme") -> None:
        """Close a round that is never committed: its programme has gone past it, or is over."""
        if await asyncio.to_thread(_is_past, programme, dossier.round):
            self.dossiers.keep(replace(dossier, standing=Standing.NONE))

    async def _commit(self, programme: "Programme", shown: Commits, number: int) -> Commit:
        from .programme import commit_of  # noqa: PLC0415  heavy

        try:
            said = await shown.commit(number)
        except (ProtocolError, Unavailable):
            said = None  # the chain has it, too
        return await asyncio.to_thread(commit_of, programme, number, said)

    async def _judged(
        self,
        dossier: Dossier,
        commit: Commit,
        coordinator: Coordinator,
        versions: Versions,
        programme: "Programme",
        round_: "Round",
    ) -> Judged:
        now = await asyncio.to_thread(programme.time)
        try:
            seen = await self._seen(dossier, coordinator, versions)
            answers = partial(_answers, programme, commit)
            own = self._own(dossier, seen, Commits(coordinator), answers)
            terms = await asyncio.to_thread(programme.terms)
            leaves = (terms.leaves_per_chunk, terms.last_chunk_leaves)
            if differs := difference(terms.arithmetic, leaves, own.plan):
                return Judged(Standing.UNPROVED, differs)
            judged = await own.judge(commit)
            if judged.standing is Standing.SOUND:
                state = await asyncio.to_thread(programme.state)
                if not state.is_void(dossier.round):  # by which nobody is paid
                    judged = await self._outcome(commit, seen, coordinator)
        except FalsePayout as error:
            return Judged(Standing.FALSE, str(error))
        except VeilsumError as error:
            if now >= round_.matures_at:
                return Judged(Standing.LATE, f"it has matured without a look at it: {error}")
            window = programme.terms().window
            if round_.matures_at - now > (1 - _PATIENT_PART) * window:
                raise
            return Judged(Standing.WITHHELD, f"{_unseen(error)}: {error}")
        return judged

    async def _seen(
        self, dossier: Dossier, coordinator: Coordinator, versions: Versions
    ) -> "_Seen":
        number = dossier.round
        plan, roster = await self._planned(number, coordinator, versions)
        if plan.digest() != dossier.plan:
            raise WrongContext(f"round {number}: another plan is shown than this site worked under")
        signed, _ = await coordinator.cohort(number)
        check_signer(signed, Purpose.COHORT, COORDINATOR, roster.coordinator_key)
        return _Seen(plan, roster, canonical.decode(signed.body, Cohort))

    def _own(
        self,
        dossier: Dossier,
        seen: "_Seen",
        shown: Commits,
        answers: Callable[[bytes], dict[Node, Opening]],
    ) -> OwnRound:
        outbox = Outbox(self.config.state / "outbox", dossier.round)
        answered = partial(answers, seen.plan.arithmetic.encode())
        return OwnRound(dossier, seen.plan, outbox, seen.slots(), shown, answered)

    async def _planned(
        self, number: int, coordinator: Coordinator, versions: Versions
    ) -> tuple[Plan, Roster]:
        sent = await coordinator.plan(number)
        roster = await versions.under(number, named_by_plan(sent))
        return check_planned(sent, roster, number), roster

    async def _outcome(self, commit: Commit, seen: "_Seen", coordinator: Coordinator) -> Judged:
        """Return what there is to say of a sound commit's model, and of what it pays.

        Raises:
            NotYet: the release, or this round's own payout, is not shown.
            FalsePayout: it is wrong, and under the commit; what proves it is kept.
            WrongContext: another cohort was shown than the one that was committed.
        """
        # First: what is wrong here can be proved.
        score = await self._score(commit, seen.roster, coordinator)
        held = Kept(self.config.state / KEPT).of(Purpose.RELEASE, commit.round)
        said = await unlike_released(coordinator, seen.plan, seen.roster, commit, held)
        said = said or await self._unlike_scores(commit, score, seen, coordinator)
        return Judged(Standing.UNPROVED, said) if said else SOUND

    async def _unlike_scores(
        self, commit: Commit, score: int | None, seen: "_Seen", coordinator: Coordinator
    ) -> str:
        assert self.config.settlement is not None  # else there is no dossier
        if seen.slots().root().hex() != commit.cohort:
            # A coordinator signs as many cohorts as it likes; it commits to one.
            raise WrongContext(f"round {commit.round}: another cohort than was committed")
        method = method_for(self.config.settlement.method, seen.plan)
        scored = Scored(coordinator, seen.plan, seen.roster, seen.cohort, method)
        return await scored.fault(commit, self.config.participant, score)

    async def _score(self, commit: Commit, roster: Roster, coordinator: Coordinator) -> int | None:
        """Return the score that this site is paid by; None if it was to be paid elsewhere.

        The leaf is asked for by its round: else who commits a round could wait for the next one,
        and show a leaf of that.
        """
        assert self.config.settlement is not None  # else there is no dossier
        payee = roster.member(self.config.participant).payout_address
        if payee.lower() != self.config.settlement.payee.lower():
            return None  # its address has changed since, and no leaf is made for the new one
        payout = await coordinator.payout(commit.round)
        if not payout.commit or canonical.decode(payout.commit, Commit) != commit:
            raise NotYet("no payout under this commit; ask the programme's judges in time")
        if not payout.entitlement:
            return 0  # who has earned nothing at all is shown no leaf
        await asyncio.to_thread(self.payouts.check, payout)
        return int(canonical.decode(payout.entitlement, Entitlement).score)

    # -- what was found ----------------------------------------------------------------

    def _keep(self, dossier: Dossier, judged: Judged) -> None:
        number, reason = dossier.round, judged.reason
        if judged.accusation is not None:
            write_durably(self.payouts.proof(number), accusation.encode(judged.accusation))
        if judged.demand is not None:
            at = judged.demand
            reason = (
                f"{reason}; demand it: veilsum settle demand --round {number} --tree "
                f"{at.tree.name.lower()} --chunk {at.chunk} --leaf {at.leaf} --level {at.level} "
                f"--index {at.index}"
            )
        self.dossiers.keep(replace(dossier, standing=judged.standing, reason=reason))
        match judged.standing:
            case Standing.SOUND:
                log.info("commit_checked", round=number)
            case Standing.LEFT_OUT:
                log.info("left_out_of_commit", round=number)
            case Standing.FALSE:
                proof = self.payouts.proof(number)
                log.error(
                    "false_commit",
                    round=number,
                    reason=reason,
                    proof=str(proof) if proof.exists() else None,
                    who_acts="this site's operator",
                    action="challenge it before it matures: veilsum settle challenge",
                )
            case _:
                self._say(number, f"commit_{judged.standing.value}", reason=reason)

    def _say(self, number: int, event: str, **fields: str) -> None:
        """Tell this site's operator, once for each thing of a round.

        What is wrong with a commit is another thing with each reason: it names what to demand next.
        """
        said = self._said.setdefault(number, set())
        thing = (event, fields.get("reason", "") if event.startswith(_OF_COMMIT) else "")
        if thing not in said and len(said) < _MOST_SAID:
            said.add(thing)
            log.warning(event, round=number, **fields)

    # -- the chain ---------------------------------------------------------------------

    def _reached(self) -> "Programme | None":
        """Return the programme, if it is named by the settings or was met in a receipt."""
        if self._programme is None and self.config.settlement is not None:
            named = self.config.settlement.programme
            if named is not None:
                self._programme_named(named)
        return self._programme

    def _programme_named(self, named: str) -> "Programme":
        if self._programme is None or self._programme.word.hex() != named:
            return self._adopt(self._programme_of(named))
        return self._programme

    def _programme_of(self, named: str) -> "Programme":
        from veilsum.chain.endpoint import reach  # noqa: PLC0415  heavy, and an extra

        from .programme import programme_at  # noqa: PLC0415

        assert self.config.settlement is not None  # else nothing is looked at
        access = self.config.settlement
        if access.programme not in {None, named}:
            raise WrongContext(
                f"a round of programme {named[:16]}…, where settlement.programme is another"
            )
        return programme_at(reach(access), access.contract, named)

    def _adopt(self, programme: "Programme") -> "Programme":
        """Take it for the programme of this site's rounds, from now on."""
        window = programme.terms().window
        self._programme = programme
        self._seconds = min(max(window / LOOKS_A_WINDOW, _SHORTEST_SECONDS), _LONGEST_SECONDS)
        return programme


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the coordinator has shown of one round, each signature checked: fetched once.

    All that is said of a commit is said by the same records.
    """

    plan: Plan
    roster: Roster
    cohort: Cohort

    def slots(self) -> Slots:
        """Return the slots of its cohort."""
        return cohort_of(self.cohort.entries, [each.participant for each in self.roster.trainers()])


def _is_past(programme: "Programme", number: int) -> bool:
    """Return whether no commit of a round can come: rounds rise, up to a halt or the end."""
    state = programme.state()
    goes_on = state.void_from is None and programme.time() < programme.terms().end
    if goes_on and state.head <= number:
        return False
    return programme.round(number) is None  # it may have come since it was asked for


def _unseen(error: VeilsumError) -> str:
    if isinstance(error, Unavailable | ProtocolError):
        return "the coordinator shows nothing of it"
    return "it could not be looked at to the end"


def _answers(programme: "Programme", commit: Commit, arithmetic: bytes) -> dict[Node, Opening]:
    from .demand import answers_of  # noqa: PLC0415  heavy

    return answers_of(programme, commit, arithmetic)
