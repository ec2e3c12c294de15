"""The site's privacy ledger on disk: what may be spent, what is, and proof of both.

Each method that writes is one transaction under an exclusive lock, on disk (fsync) before it
returns. So a commit that has returned survives a kill, and a reservation that has returned
counts against the budget until it is committed or retired, whoever restarts.
"""

from collections.abc import Collection, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from privacy.budget import NO_COSTS, Budgets, Costs, SpendLimits, costs_of
from privacy.errors import ConfigError, ConflictingContribution, IllegalEvent, MalformedMessage
from privacy.events import Events, check_depth
from privacy.ledger import (
    Approval,
    Audited,
    Checkpoint,
    Cumulative,
    Dataset,
    Noise,
    Output,
    Released,
    Reservation,
    Result,
    RowType,
    SpendPolicy,
    Witness,
    check_limits,
    cumulative,
    divergences_of,
    idempotency_of,
    policy_of,
    sign_approval,
    sign_proposal,
)

from .writing import LedgerWriting


class SiteLedger(LedgerWriting):
    """The ledger of one site; it alone decides what the site's data may still give away.

    Guarantees to the patients in a dataset: what is released is committed before, for one
    output per round; committed and reserved together stay within the limits of both views, over
    all jobs, versions of the dataset, processes and crashes.

    Safe to use from several threads and several processes. Opening verifies the whole chain.
    """

    # -- what the site is ----------------------------------------------------------

    def register(self, dataset: Dataset, *, another: bool = False) -> None:
        """Record a dataset, or a new version of one; its spend so far is inherited.

        The same version again changes nothing.

        Args:
            another: whether somebody has said that the data is other people's than that which
                has a budget here; officers, where there are any, must have agreed to it.

        Raises:
            ConfigError: another name than the ledger knows, and nobody has said so.
            IllegalEvent: a version that does not descend from a registered one.
            UnsafeParameters: a new version that changes unit or neighbouring relation.
        """
        with self._writing():
            if dataset not in self._state.datasets.get(dataset.id, ()):
                self._check_name(dataset.id, another=another)
                self._append(RowType.DATASET_REGISTER, dataset)

    def set_policy(self, officers: Mapping[str, str]) -> None:
        """Record the limits of `site.toml` and its officers, if they are not those recorded last.

        A lower limit counts at once. Once officers are recorded, a higher one counts when one
        of them has proposed it and another one has approved.

        Args:
            officers: names, and public keys in hex.

        Raises:
            UnsafeParameters: a single officer, or two with one key.
            IllegalEvent: no dataset is registered.
        """
        policy = policy_of(self._own, officers)
        with self._writing():
            if self._state.standing.written != policy:
                self._append_wide(RowType.POLICY_SET, policy=policy)

    def propose(
        self,
        limits: SpendLimits,
        officer: str,
        key: Ed25519PrivateKey,
        *,
        officers: Mapping[str, str] | None = None,
        datasets: Collection[str] = (),
    ) -> int:
        """Record limits as one officer proposes them.

        Args:
            officers: who the officers are to be; None for those who are agreed.
            datasets: ids that may begin a budget of their own, besides those agreed.

        Returns:
            The number of the row, which another officer approves.

        Raises:
            IllegalEvent: `officer` is none.
            InvalidSignature: `key` is not that officer's.
            UnsafeParameters: a single officer, or two with one key.
        """
        with self._writing():
            standing = self._state.standing
            named = standing.officers() if officers is None else officers
            policy = policy_of(limits, named, {*standing.datasets(), *datasets})
            policy = replace(policy, proposer=officer)
            row = self._row(RowType.POLICY_SET, self._newest(), policy=policy)
            self._add(sign_proposal(row, key))
            return row.seq

    def propose_signed(self, policy: SpendPolicy) -> int:
        """Record limits that an officer has signed on another machine; return the row's number.

        Raises:
            IllegalEvent: the proposer is no officer, or something else was agreed since.
            InvalidSignature: not signed by its proposer.
        """
        with self._writing():
            self._append_wide(RowType.POLICY_SET, policy=policy)
            return self._state.seq

    def approve_signed(self, approval: Approval) -> None:
        """Record the consent that an officer has signed on another machine.

        Raises:
            IllegalEvent, InvalidSignature: as for `approve`.
        """
        with self._writing():
            self._append_wide(RowType.APPROVAL, approval=approval)

    def approve(self, row: int, officer: str, key: Ed25519PrivateKey) -> None:
        """Record that an officer approves what another one has proposed in row `row`.

        Raises:
            IllegalEvent: nothing waits there, or `officer` is none, or has proposed it.
        """
        with self._writing():
            proposal = self._state.standing.proposal(row)
            self._append_wide(RowType.APPROVAL, approval=sign_approval(proposal, officer, key))

    # -- rounds --------------------------------------------------------------------

    def reserve(
        self, dataset: str, job: str, events: Events, clip: str, rounds: int, evidence: str
    ) -> str:
        """Set aside what `rounds` rounds cost, all or none, and return a reservation to spend.

        Rounds that the job has open for the same events are counted first, and only what is
        missing is reserved: after a restart, or an aborted round, nothing is charged twice.
        What the job has open for other events is given back.

        Args:
            dataset: id of a registered dataset.
            job: the training programme; spend is shared by all jobs.
            events: everything that one round will release, in both views.
            clip: L2 bound of one unit's contribution, as a decimal.
            rounds: that are still planned, the one about to begin included.
            evidence: SHA-256, in hex, of the plan that says so.

        Raises:
            BudgetExhausted: the limit for life or for one round would be passed, in one of the
                views; nothing is written.
            UnsafeParameters: an event without a proven cost.
            IllegalEvent: the dataset is not registered.
            MalformedMessage: no rounds, or a member that no reader would accept.
        """
        if rounds < 1:
            raise MalformedMessage(f"a reservation for {rounds} rounds")
        costs = _costs(events)
        with self._writing():
            self._newest(dataset)
            for other in self._state.unspent(dataset, job):
                if (other.events, other.clip) != (events, clip):
                    self._retire(other, evidence)
            held = self._state.unspent(dataset, job)
            missing = rounds - sum(each.left for each in held)
            # a limit that was lowered since counts for what is set aside, too
            self._in_force().per_round().check(costs)
            self._budgets(dataset).check(NO_COSTS)
            if missing > 0:
                self._reserve(dataset, job, events, clip, costs, missing, evidence)
            return self._state.unspent(dataset, job)[0].id

    def commit(
        self,
        reservation: str,
        round: int,  # noqa: A002
        out: str,
        noise: Noise | None = None,
    ) -> None:
        """Spend one round of a reservation for the one output with SHA-256 `out`.

        On disk on return: call it before the first byte leaves. The same output again changes
        nothing: a retry that resends identical bytes costs nothing more.

        Args:
            noise: what the site has put on it, where the plan shares the noise.

        Raises:
            BudgetExhausted: a limit was lowered since, below what is charged or what the round
                costs; send nothing. Never for `NOTHING_SENT`.
            ConflictingContribution: the round was committed before, for another output.
            IllegalEvent: no such reservation, or nothing is left of it; send nothing.
        """
        with self._writing():
            held = self._state.reservation(reservation)
            made = self._state.output(held.dataset, held.job, round)
            if made is None:
                self._commit(held, round, out, noise)
            elif made.out != out:
                raise ConflictingContribution(
                    f"job {made.job}, round {round}: committed for output {made.out}, not "
                    f"{out[:64]}; a second output would be a second release"
                )

    def sent(self, reservation: str, round: int) -> None:  # noqa: A002
        """Record that the committed output has been acknowledged; again changes nothing.

        Raises:
            IllegalEvent: nothing was committed for this round.
        """
        with self._writing():
            held = self._state.reservation(reservation)
            made = self._made(held.dataset, held.job, round)
            if not made.sent:
                spent = {"reservation": made.reservation, "out": made.out}
                self._append_about(RowType.SENT, made, **spent)

    def retire(self, reservation: str, evidence: str) -> None:
        """Give back the rounds of a reservation that were not committed; again changes nothing.

        Args:
            evidence: SHA-256, in hex, of the signed record that shows them to be over.

        Raises:
            IllegalEvent: all were committed, and what is committed stays.
        """
        with self._writing():
            held = self._state.reservation(reservation)
            if not held.retired:
                self._retire(held, evidence)

    def result(self, dataset: str, job: str, round: int, result: Result) -> None:  # noqa: A002
        """Record what became of a round; again changes nothing.

        Raises:
            IllegalEvent: nothing was committed for this round.
            ConflictingContribution: another result is recorded.
        """
        with self._writing():
            made = self._made(dataset, job, round)
            if made.result is None:
                self._append_about(RowType.ROUND_RESULT, made, result=result)
            elif made.result != result:
                raise ConflictingContribution(f"job {job}, round {round}: another result before")

    def released(self, dataset: str, job: str, round: int, release: Released) -> None:  # noqa: A002
        """Record the release of a round that this site has adopted; again changes nothing.

        Raises:
            IllegalEvent: nothing was committed for this round.
            ConflictingContribution: another release is recorded.
        """
        with self._writing():
            made = self._made(dataset, job, round)
            if made.release is None:
                self._append_about(RowType.RELEASE, made, release=release)
            elif made.release != release:
                raise ConflictingContribution(f"job {job}, round {round}: another release before")

    # -- outside of rounds ---------------------------------------------------------

    def preprocess(self, dataset: str, events: Events, text: str) -> None:
        """Spend a use of the data outside of rounds: imputation, scaling, a look at it.

        Raises:
            BudgetExhausted: the limit for life would be passed; do not use the data so.
            UnsafeParameters: an event without a proven cost.
            IllegalEvent: the dataset is not registered.
        """
        self._spend(RowType.PREPROC, dataset, events, text)

    def adjust_up(self, dataset: str, events: Events, text: str) -> None:
        """Add what was spent and not recorded; never refused, whatever the limit says.

        Raises:
            UnsafeParameters: an event without a proven cost.
            IllegalEvent: the dataset is not registered.
        """
        self._spend(RowType.ADJUST_UP, dataset, events, text)

    def audited(self, dataset: str, audit: Audited) -> None:
        """Record what an audit of the pipeline has found.

        Raises:
            IllegalEvent: the dataset is not registered.
        """
        with self._writing():
            self._append(RowType.AUDIT_RESULT, self._newest(dataset), audit=audit)

    def witness(self, *seen: Witness) -> None:
        """Record other sites' checkpoints, as their signed headers stated them; each once.

        All of them are one transaction.

        Raises:
            IllegalEvent: no dataset is registered.
        """
        with self._writing():
            for each in seen:
                if each not in self._state.witnessed:
                    self._append_wide(RowType.WITNESS, witness=each)

    def mark(self) -> Checkpoint:
        """Record the head of the tree as it stands, and return it.

        Raises:
            IllegalEvent: no dataset is registered.
        """
        with self._writing():
            head = self._state.checkpoint()
            self._append_wide(RowType.CHECKPOINT, checkpoint=head)
            assert head is not None  # a dataset is registered, or the row was refused
            return head

    # -- rows ----------------------------------------------------------------------

    def _reserve(
        self,
        dataset: str,
        job: str,
        events: Events,
        clip: str,
        costs: Costs,
        rounds: int,
        evidence: str,
    ) -> None:
        name = f"r-{self._state.seq + 1}"
        row = self._row(
            RowType.RESERVE,
            self._newest(dataset),
            job=job,
            reservation=name,
            rounds=rounds,
            event=events,
            clip=clip,
            rdp=divergences_of(costs),
            evidence=evidence,
        )
        check_limits(self._state, row, self._in_force())
        budgets = self._budgets(dataset).reserve(name, costs, rounds)
        self._add(replace(row, idempotency=idempotency_of(row), cum=self._cumulative(budgets)))

    def _commit(self, held: Reservation, number: int, out: str, noise: Noise | None) -> None:
        row = self._row(
            RowType.COMMIT,
            self._newest(held.dataset),
            job=held.job,
            round=number,
            reservation=held.id,
            event=held.events,
            clip=held.clip,
            rdp=divergences_of(held.costs),
            out=out,
            noise=noise,
        )
        check_limits(self._state, row, self._in_force())
        budgets = self._budgets(held.dataset).commit(held.id)
        self._add(replace(row, idempotency=idempotency_of(row), cum=self._cumulative(budgets)))

    def _retire(self, held: Reservation, evidence: str) -> None:
        budgets = self._budgets(held.dataset).retire(held.id)
        self._append(
            RowType.RETIRE,
            self._newest(held.dataset),
            job=held.job,
            reservation=held.id,
            evidence=evidence,
            cum=self._cumulative(budgets),
        )

    def _spend(self, kind: RowType, dataset: str, events: Events, text: str) -> None:
        costs = _costs(events)
        with self._writing():
            cost = {"event": events, "rdp": divergences_of(costs), "text": text}
            row = self._row(kind, self._newest(dataset), **cost)
            check_limits(self._state, row, self._in_force())
            budgets = self._budgets(dataset).spend(costs)
            self._add(replace(row, cum=self._cumulative(budgets)))

    def _check_name(self, name: str, *, another: bool) -> None:
        known = sorted(self._state.datasets)
        if not known or name in known or name in self._state.standing.datasets():
            return
        if self._state.standing.officers():
            act = f"two officers agree to it: veilsum budget set --dataset {name}"
        elif not another:
            act = "begin a budget for it: veilsum budget dataset"
        else:
            return
        raise ConfigError(
            f"dataset.id = {name}: this ledger keeps the budget of {', '.join(known)}, and a new "
            f"name would begin another one; name the same patients as before; for others, {act}"
        )

    def _cumulative(self, budgets: Budgets) -> Cumulative:
        return cumulative(budgets, self._in_force().delta)

    def _made(self, dataset: str, job: str, number: int) -> Output:
        made = self._state.output(dataset, job, number)
        if made is None:
            raise IllegalEvent(f"job {job}, round {number}: nothing was committed, send nothing")
        return made


def _costs(events: Events) -> Costs:
    check_depth(events.sums)
    check_depth(events.vector)
    return costs_of(events)
