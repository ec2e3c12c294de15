"""A site's agent: it watches the rounds, and does what its role and its policy say.

The agent holds the policy, the keys, the ledger, the outbox and the connection.
Data, models' training and ciphertexts are the worker's, in another process.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from privacy.budget import check_delta
from privacy.documents import check_signer, only_by
from privacy.errors import (
    BudgetExhausted,
    ConfigError,
    IllegalEvent,
    NotYet,
    PrivacyError,
    ProtocolError,
    Unavailable,
    VeilsumError,
    WrongContext,
)
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR, Digest
from privacy.plan import SHARES, Plan
from privacy.roster import Role, Roster
from privacy.sealing import Entropy
from privacy.signing import Purpose
from privacy.vectors import Shapes
from veilsum.files import hold
from veilsum.metrics.book import Book, Sample
from veilsum.metrics.catalogue import (
    BUDGET_DENIED,
    EPSILON_BUDGET,
    EPSILON_SPENT,
    LEDGER_ENTRIES,
    POLICY_REFUSED,
    RETRIES,
    TASKS,
)
from veilsum.metrics.door import expiry_of
from veilsum.traces.tracing import NoTraces, Tracer

from . import kept
from .config import SiteConfig, dataset_of, ledger_of, limits_of
from .joining.found import found
from .joining.versions import Versions, named_by_key, named_by_plan, named_by_record, reading
from .kept import Kept
from .keys import SiteKeys, shown_file
from .ledger import outcome
from .ledger.peers import Peers, own_header, require_newest
from .ledger.site_ledger import SiteLedger
from .memory import Memory
from .model import models
from .model.adopt import Adopter
from .model.models import Models
from .opening import keying, spool
from .opening.certify import Certifier
from .opening.opener import Opener, Opening
from .policy import approvals
from .policy import plans as policy
from .policy.approvals import Approvals
from .policy.refusing import line
from .scoring import kept_update
from .scoring.judging import Judging
from .scoring.kept_update import Keeper
from .scoring.stating import Stating
from .seat import recall
from .sending.contribute import Contributor
from .sending.outbox import Outbox, erase_until
from .session import (
    Adopt,
    Agree,
    Certify,
    Claim,
    Contribute,
    JudgeProducts,
    MakeKey,
    Open,
    SealModel,
    Standing,
    StateProduct,
    Task,
    VouchForKey,
    is_over,
    left_out,
    scores_are_over,
    tasks,
    works_on,
)
from .settling.own_rounds import OwnRounds
from .settling.payout import Payouts
from .training.worker import Main, Worker, error_of, serve
from .view import LeftOut, View
from .wire.connect import connected
from .wire.letters import Letters, Mailbox
from .wire.patience import Patience
from .wire.planned import check_planned
from .wire.send import Sender
from .wire.tempo import passed, tempo

log = structlog.get_logger()

HEARTBEAT_SECONDS = 0.5
RETRY_SECONDS = 0.5


@dataclass
class Agent:
    """One site at work; `run` returns when the programme is over."""

    config: SiteConfig
    keys: SiteKeys = field(repr=False)
    entropy: Entropy
    failpoints: Failpoints
    worker_main: Main = serve
    clock: Callable[[], float] = time.time
    book: Book = field(default_factory=Book)
    tracer: Tracer = field(default_factory=NoTraces)

    def __post_init__(self) -> None:
        state = self.config.state
        self._held = hold(state)
        self._kept = Kept(state / kept.FOLDER, self.failpoints.hit)
        self._memory = Memory(state, self.failpoints.hit)
        self._ledger = self._open_ledger()
        self._peers = Peers(self.config.participant, self._memory, self._ledger)
        self._models = Models(state / models.FOLDER)
        self._models.sweep()
        updates = state / kept_update.FOLDER
        self._keeper = Keeper(updates, self.config.participant, self.keys.sealing, self.entropy)
        self._worker = Worker(self.worker_main, self.config.dataset.site, self._models.folder)
        self._payouts = Payouts(self.config, self.failpoints.hit)
        self._commits = OwnRounds(self.config, self._payouts, self.clock)
        self._view = View()
        self._standing = Standing(self.config.participant)
        self._openings: dict[int, Opening] = {}
        self._changed = asyncio.Event()
        self._patience = Patience(self.entropy)
        self._approvals = Approvals(state / approvals.FOLDER)
        self._hours, rate = self.config.policy.sends_in(), self.config.policy.line_rate()
        self._tempo = tempo(lambda: rate.bytes_per_second(self.clock()), self._check_hours)
        self._retries: dict[Task, Patience] = {}
        self._told: set[tuple[int, LeftOut]] = set()
        self._said_behind = False

    async def run(self) -> None:
        """Take part until the programme is over.

        Raises:
            ConfigError, ProtocolError, PrivacyError: this site cannot take part.
        """
        step = self.failpoints.hit
        try:
            async with connected(self.config, self.keys, self.entropy, step) as self._coordinator:
                await self._take_part()
        finally:
            self._memory.close()
            self._ledger.close()

    async def _take_part(self) -> None:
        self._coordinator.tempo = self._tempo
        self.book.watch(self._numbers)
        describing = asyncio.create_task(self._describe())
        try:
            await self._join()
            watching = asyncio.create_task(self._attend())
            self._shapes, self._first = await describing
            await self._work(watching)
        finally:
            describing.cancel()
            self._worker.stop()

    async def _describe(self) -> tuple[Shapes, Digest]:
        """Return the shapes of the site's model and the first one's digest, from its worker."""
        dataset, text = self.config.dataset, self.config.policy.first_model
        patience = Patience(self.entropy, "will_retry", {"task": "Describe"})
        while True:
            try:
                return await self._worker.describe(text, dataset.records, dataset.records_per_unit)
            except Unavailable as error:
                await patience.wait(error)

    # -- joining -------------------------------------------------------------------

    async def _join(self) -> None:
        while True:
            try:
                who = (self.keys, self.config.participant, self.config.policy.roster)
                await found(self._coordinator, *who, self.config.state)
                read = reading(self._coordinator, *who, self._kept)
                self._versions = Versions(tuple(each.roster for each in await read()), read)
                break
            except Unavailable as error:
                await self._patience.wait(error)
        self._patience.reset()
        newest = self._versions.newest
        roles = newest.member(self.config.participant).roles
        if Role.TRAINER in roles:
            await self._check_ledger()
        release = self._memory.newest_release()
        self._standing = replace(
            self._standing,
            trains=Role.TRAINER in roles,
            adopted=release[0] if release and self._has_adopted(release) else 0,
        )
        sender = Sender(self._coordinator, newest.coordinator_key, self.failpoints)
        self._contributor = Contributor(
            self.config.participant,
            self.config.dataset.id,
            self.keys.signing,
            self.entropy,
            newest,
            self._worker,
            self._ledger,
            sender,
            self.config.state / "receipts",
            self._kept,
            self.failpoints,
            self._keeper,
        )
        log.info("joined", participant=self.config.participant, roster=newest.digest())

    async def _check_ledger(self) -> None:
        """Hold the ledger against this site's newest header: its memory may be an old copy, too."""
        me, history = self.config.participant, self._versions.admitted
        while True:
            try:
                newest = await self._coordinator.newest_header()
                break
            except Unavailable as error:
                await self._patience.wait(error)
        self._patience.reset()
        if newest is not None:
            require_newest(self._ledger, own_header(newest, me, history))

    def _open_ledger(self) -> SiteLedger:
        dataset, limits = self.config.dataset, self.config.policy
        check_delta(limits.delta, dataset.records)
        path = ledger_of(self.config)
        self._require_ledger(path.exists() and path.stat().st_size > 0, path)
        ledger = SiteLedger(
            path,
            self.clock,
            site=self.config.participant,
            limits=limits_of(limits),
            key=self.keys.signing,
            also=dataset.ledger_keys,
            keeps=self._memory.ledger_grew,
            failpoints=self.failpoints,
        )
        seen = self._memory.ledger_seen()
        if seen is not None:
            ledger.require_extends(seen)
        ledger.register(dataset_of(self.config))
        ledger.set_policy(limits.officers)
        self._memory.begins_ledger()
        return ledger

    def _require_ledger(self, there: bool, path: Path) -> None:
        if self._memory.has_begun_ledger() and not there:
            raise ConfigError(
                f"{path}: this site has a privacy ledger, and it is not there; restore it, "
                "or what was spent is forgotten"
            )

    # -- the loop ------------------------------------------------------------------

    async def _attend(self) -> None:
        """Watch the rounds and their commits, and answer seats, for ever."""
        attending = [self._watch(), self._commits.watch(self._coordinator, self._versions)]
        if SHARES in self.config.policy.schemes and self._standing.trains:
            attending.append(self._answer_seats())
        await asyncio.gather(*attending)

    async def _answer_seats(self) -> None:
        # A seat that starts signs nothing before trainers have told it what they signed.
        me, key = self.config.participant, self.keys.signing
        mailbox = Mailbox(Letters(self._coordinator), Patience(self.entropy, "waiting_for_letters"))
        newest = self._memory.newest_certified
        # Who listens begins first: a letter for which nobody waits is dropped.
        await asyncio.gather(
            recall.serve(mailbox, lambda: self._versions.newest, me, key, newest), mailbox.run()
        )

    async def _watch(self) -> None:
        while True:
            try:
                working_on = works_on(self._view, self._standing)
                wait = HEARTBEAT_SECONDS if working_on else 2.0
                seen = self._view
                self._view = await self._coordinator.watch(seen.revision, working_on, wait)
                if self._view.halted and not seen.halted:
                    log.error("programme_halted", who_acts="the coordinator's operator")
                self._say_left_out()
                self._say_behind()
                self._changed.set()
                self._patience.reset()
            except Unavailable as error:
                await self._patience.wait(error)

    def _say_behind(self) -> None:
        """Tell this site's operator, once, that the coordinator has forgotten what it released."""
        behind = self._view.released < self._standing.adopted
        if behind and not self._said_behind:
            log.error(
                "coordinator_behind",
                released=self._view.released,
                adopted=self._standing.adopted,
                who_acts="the coordinator's operator",
                action="it was restored from an old backup: send it what `veilsum participant "
                "rounds` writes here, to restore with; until then nothing is sent or spent",
            )
        self._said_behind = behind

    def _say_left_out(self) -> None:
        """Tell this site's operator, once, that seats have left its contribution out."""
        live = {each.number for each in self._view.rounds}
        self._told = {told for told in self._told if told[0] in live}
        for number, left in left_out(self._view, self.config.participant):
            if (number, left) not in self._told:
                self._told.add((number, left))
                fields = {"seat": left.seat, "code": left.code, "reason": left.reason}
                log.error("left_out", round=number, **fields, who_acts=_who_acts(left.code))

    async def _work(self, watching: asyncio.Task[None]) -> None:
        while not is_over(self._view, self._standing):
            self._erase_ended()
            self._erase_scored()
            todo = tasks(self._view, self._standing)
            self._retries = {task: each for task, each in self._retries.items() if task in todo}
            for task in todo:
                if await self._try(task):
                    break
            else:
                await self._wait(watching)
        watching.cancel()
        self._give_back()

    async def _wait(self, watching: asyncio.Task[None]) -> None:
        changed = asyncio.create_task(self._changed.wait())
        done, _ = await asyncio.wait({changed, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching in done:
            await watching  # raises what ended it
        self._changed.clear()

    async def _try(self, task: Task) -> bool:
        """Carry out a task; return whether the world may look different now."""
        name = type(task).__name__
        try:
            with self.tracer.span(f"task {name}", {"veilsum.round": task.round}):
                await self._carry_out(task)
        except (NotYet, IllegalEvent) as error:
            # The round has moved on, or has not come so far; the next view tells.
            log.info("not_now", task=name, round=task.round, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS / 5)
            return False
        except Unavailable as error:
            self.book.add(RETRIES, 1, error.code)
            await self._retry(task).wait(error)
            return False
        except VeilsumError as error:
            self._count_declined(name, error)
            log.error("declined", task=name, round=task.round, code=error.code, reason=str(error))
            await self._decline(task, error)
        else:
            self.book.add(TASKS, 1, name, "done")
            log.info("done", task=name, round=task.round)
        self._retries.pop(task, None)
        return True

    def _count_declined(self, name: str, error: VeilsumError) -> None:
        self.book.add(TASKS, 1, name, "declined")
        if isinstance(error, BudgetExhausted):
            self.book.add(BUDGET_DENIED)
        if isinstance(error, PrivacyError) and error.line is not None:
            self.book.add(POLICY_REFUSED, 1, error.line.key)

    def _numbers(self) -> Iterator[Sample]:
        """Yield what this site can be asked about itself."""
        dataset = self.config.dataset.id
        budgets = self._ledger.budgets(dataset)
        for budget in (budgets.sums, budgets.vector):
            spent = budget.charged().epsilon(budget.delta)
            yield EPSILON_SPENT, (dataset, budget.view), spent
            yield EPSILON_BUDGET, (dataset, budget.view), budget.limit_epsilon
        yield LEDGER_ENTRIES, (), float(self._ledger.state().seq)
        yield from passed(self._tempo)
        shown = shown_file(self.config.coordinator.certificate, self.config.state / "keys")
        yield from expiry_of(shown, self.config.participant)

    def _retry(self, task: Task) -> Patience:
        fields: dict[str, str | int] = {"task": type(task).__name__, "round": task.round}
        return self._retries.setdefault(task, Patience(self.entropy, "will_retry", fields))

    async def _decline(self, task: Task, error: VeilsumError) -> None:
        declined = self._standing.declined | {task}
        self._standing = replace(self._standing, declined=declined)
        if isinstance(task, (VouchForKey, Open, Agree)):
            try:
                await self._coordinator.refuse(task.round, error.code)
            except VeilsumError as refused:
                log.info("not_now", task="refuse", round=task.round, reason=str(refused))

    async def _carry_out(self, task: Task) -> None:
        match task:
            case Adopt():
                await self._roster_of(task)  # a later version may have to be read first
                await self._adopt(task.round)
            case Contribute():
                await self._contribute(task.round)
            case Claim():
                await self._claim()
            case _:
                await self._open_or_vouch(task, await self._roster_of(task))

    async def _roster_of(self, task: Task) -> Roster:
        """Return the version of the roster that a task's round is under; raises as `under`."""
        match task:
            case MakeKey():
                named = named_by_key((await self._coordinator.key(task.round)).specification)
            case VouchForKey():
                named = named_by_record((await self._coordinator.key(task.round)).record)
            case SealModel() | Agree():
                # Of the plan under which the sum was opened, and no other.
                named = self._openings[task.round].plan.terms.roster
            case _:
                named = named_by_plan(await self._coordinator.plan(task.round))
        return await self._versions.under(task.round, named)

    async def _open_or_vouch(self, task: Task, roster: Roster) -> None:
        match task:
            case Certify():
                await self._certifier(roster).certify(task.round, task.cohort)
            case MakeKey():
                await self._opener(roster).make_key(task.round)
            case VouchForKey():
                await self._opener(roster).vouch_for_key(task.round, task.record)
            case Open():
                await self._opener(roster).open_sum(task.round)
                opened = {number: made.model for number, made in self._openings.items()}
                self._standing = replace(self._standing, opened=opened)
            case SealModel():
                await self._opener(roster).seal(task.round)
            case Agree():
                await self._opener(roster).agree(task.round)
            case StateProduct():
                await self._stating().state(task.round)
            case JudgeProducts():
                await self._judging().judge(task.round)

    def _certifier(self, roster: Roster) -> Certifier:
        return Certifier(
            self.keys.signing,
            self.config.policy,
            roster,
            self._memory,
            self._peers,
            self._coordinator,
            self.failpoints,
        )

    def _opener(self, roster: Roster) -> Opener:
        return Opener(
            self.config,
            self.keys,
            self.entropy,
            self.failpoints,
            self._coordinator,
            self._worker,
            self._memory,
            self._peers,
            self._models,
            roster,
            self._shapes,
            self._openings,
        )

    def _adopter(self) -> Adopter:
        return Adopter(
            self.config,
            self.keys,
            self._coordinator,
            self._memory,
            self._models,
            self._versions.admitted,
            self._shapes,
            self._first,
            self._openings,
            self.failpoints.hit,
        )

    def _stating(self) -> Stating:
        return Stating(
            self.config.participant,
            self.keys.signing,
            self._coordinator,
            self._worker,
            self._keeper,
            self._adopter(),
            self.failpoints.hit,
        )

    def _judging(self) -> Judging:
        return Judging(
            self.config.participant,
            self.keys,
            self._coordinator,
            self._memory,
            self._adopter(),
            self.failpoints.hit,
        )

    # -- contributing --------------------------------------------------------------

    def _check_hours(self) -> None:
        policy.check_hours(self._hours, self.config.policy, self.clock())

    def _check_approved(self, plan: Plan) -> None:
        """Return if nobody need approve a plan that the policy accepts, or somebody has.

        Raises:
            AwaitingApproval: nobody has yet; it is asked for.
            PolicyRefusal: somebody has refused it.
        """
        limits = self.config.policy
        if policy.wants_approval(plan, limits):
            asked = policy.asked_about(plan, limits)
            self._approvals.require(plan, asked, line(limits, "approve_plans"))

    async def _contribute(self, number: int) -> None:
        self._check_hours()  # before anything is asked of anybody: it is tried every second
        sent = await self._coordinator.plan(number)
        roster = await self._versions.under(number, named_by_plan(sent))
        plan = check_planned(sent, roster, number)
        _, release, digest = self._memory.newest_release() or (0, None, self._first)
        size = self._models.size(digest)
        if size is None:
            raise NotYet(f"model {digest[:16]}… is not here yet")
        limits, dataset = self.config.policy, self.config.dataset
        policy.check_plan(plan, limits, dataset, roster, digest, release)
        policy.check_payable(plan, self.config.settlement)
        self._check_approved(plan)
        if plan.arithmetic.dimension != size:
            raise WrongContext(f"round {number}: the plan is for a model of another size")
        key = b"" if plan.arithmetic.scheme == SHARES else await self._public_key(plan, roster)
        self._kept.keep_plan(number, sent)
        self._contributor.roster = roster
        try:
            await self._contributor.contribute(plan, key, self._outbox(number))
        except BudgetExhausted as error:
            raise policy.exhausted(error, limits) from None
        self._commits.begin(plan, roster, self._outbox(number))

    async def _public_key(self, plan: Plan, roster: Roster) -> bytes:
        number = plan.terms.round
        state = await self._coordinator.key(number)
        if state.record is None:
            raise WrongContext(f"round {number} is open without a key")
        keying.check_vouched(state.record, plan, state.public_key, roster)
        return state.public_key

    # -- adopting and settling -----------------------------------------------------

    async def _adopt(self, number: int) -> None:
        adopted = await self._adopter().adopt(number)
        if not self._is_recorded(number):
            cohort, _ = await self._coordinator.cohort(number)
            # before the rows that name them, so that no crash leaves rows without documents
            check_signer(cohort, Purpose.COHORT, COORDINATOR, adopted.roster.coordinator_key)
            self._kept.keep(Purpose.COHORT, number, only_by(cohort, COORDINATOR))
            self._kept.keep(Purpose.RELEASE, number, adopted.signed)
            dataset, release = self.config.dataset.id, adopted.release
            outcome.record(self._ledger, dataset, adopted.plan, release, cohort)
        self._standing = replace(self._standing, adopted=number)
        self._finish_rounds(number)
        log.info("model_adopted", round=number, model=adopted.release.model)

    def _has_adopted(self, release: tuple[int, str, str]) -> bool:
        number, _, model = release
        return self._models.holds(model) and self._is_recorded(number)

    def _is_recorded(self, number: int) -> bool:
        """Return whether the ledger needs no more of a round that has a release."""
        made = self._ledger.committed(self.config.dataset.id, self.config.federation, number)
        return made is None or made.release is not None

    def _give_back(self) -> None:
        """Retire what the programme has left of its reservations, now that it is over."""
        release = self._memory.newest_release()
        for held in self._ledger.reserved() if self._view.finished and release else ():
            mine = (self.config.dataset.id, self.config.federation)
            if release and (held.dataset, held.job) == mine:
                self._ledger.retire(held.id, release[1])

    def _finish_rounds(self, number: int) -> None:
        """Erase what rounds up to `number` left."""
        erase_until(self.config.state / "outbox", number, self._commits.holds())
        spool.erase_until(self.config.state / spool.FOLDER, number)
        self._memory.forget_models(self._models, self._first, self._keeper.models())
        for past in [at for at in self._openings if at <= number]:
            del self._openings[past]
        opened = {at: made for at, made in self._standing.opened.items() if at > number}
        self._standing = replace(self._standing, opened=opened)

    def _erase_ended(self) -> None:
        """Erase what rounds left that have ended without a release, between two tasks."""
        shown = {each.number: each.phase == "aborted" for each in self._view.rounds}
        live = {number for number, aborted in shown.items() if not aborted}
        # Without a newer round to be seen, a round may only not be shown yet, or any more.
        last = max((number - (not aborted) for number, aborted in shown.items()), default=-1)
        try:
            erase_until(self.config.state / "outbox", last, live | self._commits.holds())
            spool.erase_until(self.config.state / spool.FOLDER, last, live)
        except Unavailable as error:
            log.info("not_erased", reason=str(error))

    def _erase_scored(self) -> None:
        """Erase what this site has kept for scores that will not be asked for any more."""
        shown = {each.number: each for each in self._view.rounds}
        last = max(shown, default=0)
        for number in self._keeper.rounds():
            # Without a newer round to be seen, a round may only not be shown yet.
            over = number < last
            if number in shown:
                over = scores_are_over(shown[number], self.config.participant)
            if over:
                self._keeper.kept(number).erase()

    def _outbox(self, number: int) -> Outbox:
        return Outbox(self.config.state / "outbox", number)

    async def _claim(self) -> None:
        if self.config.settlement is None:
            self._standing = replace(self._standing, claimed=True)
            return
        await self._commits.finish(self._coordinator, self._versions)
        payout = await self._coordinator.payout()
        try:
            if payout.entitlement:
                await asyncio.to_thread(self._payouts.claim, payout)
        except IllegalEvent as error:
            # Not a matter of time, as it is for a round: the contract will not change its mind.
            raise WrongContext(f"the settlement contract refuses: {error}") from error
        self._standing = replace(self._standing, claimed=True)


def _who_acts(code: str) -> str:
    """Return who acts on what a seat says of this site's own contribution."""
    error = error_of(code, "")
    return "this site's operator" if isinstance(error, ProtocolError) else error.who_acts
