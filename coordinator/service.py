"""The coordinator's application: its parts put together, and the programme kept going.

Everything here is synchronous and runs in threads. What a call may do stands in the part that
it belongs to; what is due by itself, with time or after a step, is done by `tick`.
"""

import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from privacy import canonical
from privacy import plan as plans
from privacy.errors import MalformedMessage, NotYet
from privacy.failpoints import Failpoints
from privacy.plan import CKKS, SHARES, Plan
from privacy.records import KeyRecord, Release
from privacy.roster import Roster
from privacy.signing import Purpose

from .archive import Archive
from .config import Settings
from .fold.aggregate import Fold
from .fold.engine import Engine
from .fold.folding import Folding
from .intake.arrivals import Arrivals
from .intake.contributions import Contributions
from .members.relay import Relay
from .members.revocations import Revocations
from .members.rosters import Rosters
from .members.seen import SeenBook
from .opening.keying import Keying
from .opening.models import Models
from .opening.sums import Sums
from .ports import ObjectStore, Store
from .rounds import plan as planning
from .rounds import programme, scoring, seated
from .rounds import round as machine
from .rounds.moving import Moving
from .rounds.progress import Progress
from .rounds.standing import Rounds
from .rounds.state import Phase, Round, Rules, Scoring
from .rounds.upgrade import abandon_other_scheme, abandon_unreadable
from .scoring.products import Products
from .seats.pledges import Bonds
from .seats.serving import Seats
from .seats.starts import LONGEST_SILENCE_SECONDS, Starts
from .seats.statements import Statements
from .upkeep.retention import Demands, Retention, nobody_demands
from .upkeep.scrub import Scrub

log = structlog.get_logger()

_ROW_SECONDS: Final = 900.0
"""For so long a fold may make no chunk and still count as at work; an engine gives up before."""

_ERROR_CODE: Final = re.compile(r"[a-z][a-z_]{0,63}")


@dataclass
class Service:
    """What the transport may ask of the coordinator, part by part."""

    settings: Settings
    store: Store
    objects: ObjectStore
    rosters: Rosters
    signing_key: Ed25519PrivateKey = field(repr=False)
    now: Callable[[], float]
    progress: Progress
    failpoints: Failpoints
    engine: Engine
    open_demands: Demands = nobody_demands

    def __post_init__(self) -> None:
        store, objects, rosters = self.store, self.objects, self.rosters
        self.rounds = rounds = Rounds(store, self.progress, self.failpoints)
        self.archive = archive = Archive(store, self.signing_key, rounds.named_plan)
        self.keying = Keying(self.settings, rounds, archive, objects, rosters)
        self.arrivals = arrivals = Arrivals(self.progress.monotonic)
        self.contributions = Contributions(
            rounds, archive, store, objects, rosters, self.now, self.failpoints, arrivals
        )
        self._moving = moving = Moving(self.progress)
        self.sums = Sums(rounds, archive, store, objects, rosters, moving, self._in_dispute)
        self._bonds_at: Bonds | None = None
        self.seats = Seats(rounds, archive, store, objects, rosters, moving, self._bonds)
        self.products = Products(rounds, archive, store, rosters)
        self.relay = Relay()
        self.revocations = Revocations(store, self.now)
        self.seen = SeenBook(self.now)
        progress_seconds = float(self.settings.rounds.deadline.progress_seconds)
        fresh_seconds = max(progress_seconds, LONGEST_SILENCE_SECONDS)
        seats = self.settings.rounds.seats
        self.starts = Starts(seats, fresh_seconds, self.progress.monotonic)
        self.models = Models(rounds, archive, objects, rosters, moving)
        self._stopping = threading.Event()
        self.retention = retention = Retention(
            self.settings.retention,
            rounds,
            store,
            objects,
            self.seats.sums,
            self.models,
            self.now,
            self.open_demands,
        )
        self.scrub = Scrub(
            rounds, archive, store, objects, self.contributions, retention, self._stopping.is_set
        )
        self._moved_at = self._row_at = self.progress.monotonic()
        fold = Fold(store, objects, self.engine, self._is_stopping, self.failpoints, self._has_row)
        self._folding = Folding(rounds, archive, rosters, fold)
        self._statements = Statements(rounds, archive, rosters)
        self._since = max(rounds.all(), default=0)
        abandon_unreadable(rounds, archive)
        abandon_other_scheme(rounds, archive, self.settings.scheme.name)
        self._said_halted = False
        self._said_missing: tuple[str, ...] = ()
        self._said_away: tuple[int, tuple[str, ...]] = (0, ())

    def demanded_by(self, demands: Demands) -> None:
        """Keep what a round was made from as long as `demands` says that it may be asked for."""
        self.open_demands = self.retention.open_demands = demands

    def bonded_at(self, bonds: Bonds) -> None:
        """Take pledges of seats for bonds that are there."""
        self._bonds_at = bonds

    def _bonds(self) -> Bonds | None:
        return self._bonds_at

    def _in_dispute(self, number: int) -> bool:
        return self.open_demands(number)

    # -- what everybody may know -------------------------------------------------

    def roster(self) -> Roster:
        """Return the roster that members have admitted.

        Raises:
            NotYet: the founding members have not all signed.
        """
        return self.rosters.current()

    def finished(self) -> bool:
        """Return whether the programme has every model it wanted."""
        return programme.is_over(self.rounds.all(), self.settings.rounds.wanted)

    def halted(self) -> bool:
        """Return whether the operator must look: round after round was aborted.

        A restart of the coordinator is the operator's word to go on.
        """
        return programme.halted(self.rounds.all(), self._since)

    def plan(self, number: int) -> tuple[Plan, bytes]:
        """Return a round's plan and the coordinator's signature on it.

        Raises:
            NotYet: it has none, or it was aborted: nothing follows from its plan.
            SchemaMismatch: another version of the coordinator made it.
            ConfigError: what is kept is not the plan that the round names; nothing is signed.
        """
        self._require_plan(number)
        plan = self.archive.plan(number)
        return plan, self.archive.sign(Purpose.PLAN, bytes.fromhex(plan.digest()))

    def plan_as_kept(self, number: int) -> tuple[bytes, bytes, bytes]:
        """Return a round's plan as it was made, whatever version made it: its parts, signed.

        Raises:
            NotYet, ConfigError: as for `plan`.
        """
        self._require_plan(number)
        arithmetic, terms = self.archive.plan_parts(number)
        digest = bytes.fromhex(plans.digest_of(arithmetic, terms))
        return arithmetic, terms, self.archive.sign(Purpose.PLAN, digest)

    def _require_plan(self, number: int) -> None:
        current = self.rounds.get(number)
        if current.phase is Phase.ABORTED:
            raise NotYet(f"round {number} was aborted: it released nothing")
        if not current.plan:
            raise NotYet(f"round {number} has no plan yet")

    def refuse(self, sender: str, number: int, code: str) -> None:
        """Take an opener's or the auditor's word that a key, or a sum, is not what it must be.

        Raises:
            MalformedMessage: `code` has not the form of an error code, and is not logged.
        """
        if _ERROR_CODE.fullmatch(code) is None:
            raise MalformedMessage(f"{sender}: a refusal needs an error code: at most 64 of a-z, _")
        with self.rounds.lock:
            self.rounds.apply(number, _refusal(self.rounds.get(number), sender, code))
        log.warning("round_refused", round=number, participant=sender, code=code)

    # -- time and effects ----------------------------------------------------------

    def tick(self) -> None:
        """Move on what waits in vain, carry out what is due, keep the programme going."""
        self._moved_at = self._row_at = self.progress.monotonic()
        with self.rounds.lock:
            self.rounds.look_again()
            for current in [each for each in self.rounds.all().values() if not each.is_over()]:
                quiet = self._quiet(current)
                if (current.phase, machine.Quiet) in machine.TRANSITIONS:
                    self.rounds.apply(current.number, quiet)
                    self._say_stragglers(current, quiet)
            self._wait_for_scores()
        self.carry_out()
        self._advance()

    def _wait_for_scores(self) -> None:
        rounds = self.rounds.all()
        waiting = [number for number in sorted(rounds) if rounds[number].is_scored()]
        older = {*waiting[: -scoring.MOST_SCORED]}
        for number in waiting:
            # Of older ones no product is waited for; openers have their time all the same.
            if number in older and rounds[number].scoring is Scoring.STATING:
                quiet = machine.Quiet(math.inf, math.inf)
            else:
                quiet = machine.Quiet(*self.progress.quiet(number))
            self._say_unscored(self.rounds.apply(number, quiet))

    def _say_unscored(self, after: Round) -> None:
        if after.scoring is Scoring.OVER:
            signed = {each.signer for each in after.scored}
            missing = sorted({*(after.rules.seats or after.agreed)} - signed)
            log.warning("round_unscored", round=after.number, missing=missing)

    def _quiet(self, current: Round) -> machine.Quiet:
        number, progress_seconds = current.number, current.rules.progress_seconds
        heard = self.progress.heard(number, progress_seconds)
        quiet = machine.Quiet(*self.progress.quiet(number), heard)
        if current.phase is not Phase.OPEN:
            return quiet
        missing = current.waits_for()
        self.arrivals.say(number, missing)
        return replace(quiet, stragglers=self.arrivals.stragglers(number, missing))

    def _say_stragglers(self, before: Round, quiet: machine.Quiet) -> None:
        if before.phase is Phase.OPEN and self.rounds.get(before.number).phase is not Phase.OPEN:
            for each in quiet.stragglers:
                log.warning(
                    "straggler_left_out",
                    round=before.number,
                    participant=each.participant,
                    reason=each.reason,
                )

    def stop(self) -> None:
        """End a fold that goes on, between two chunks; what is ordered waits for the next start."""
        self._stopping.set()

    def quiet_seconds(self) -> float:
        """Return for how long this has neither ticked nor got further in a tick."""
        return self.progress.monotonic() - self._moved_at

    def _is_stopping(self) -> bool:
        # Whoever does something long asks this again and again, and so does who waits in vain.
        now = self.progress.monotonic()
        if now - self._row_at < _ROW_SECONDS:
            self._moved_at = now
        return self._stopping.is_set()

    def _has_row(self) -> None:
        self._row_at = self.progress.monotonic()

    def carry_out(self) -> None:
        """Carry out every effect that is due; each is finished only when it is done."""
        for pending in self.store.pending_effects():
            effect = machine.decode_effect(pending.body)
            self.failpoints.hit(f"effect.before_{type(effect).__name__.lower()}")
            self._carry_out(effect)
            self.failpoints.hit(f"effect.after_{type(effect).__name__.lower()}")
            self.store.finish_effect(pending.id)

    def _carry_out(self, effect: machine.Effect) -> None:
        if isinstance(effect, machine.Aggregate):
            self._folding.fold(effect.round)
        elif isinstance(effect, seated.Nominate):
            self._statements.nominate(effect.round)
        elif isinstance(effect, seated.Freeze):
            self._statements.freeze(effect.round)
        elif isinstance(effect, seated.Manifest):
            self._statements.publish(effect.round)
        elif isinstance(effect, machine.Erase):
            self.retention.erase(effect.round)
            self.contributions.forget(effect.round)
            self._moving.forget(effect.round)
            self.progress.forget(effect.round)
        elif isinstance(effect, scoring.ForgetProducts):
            self.products.forget(effect.round)

    # -- the programme -------------------------------------------------------------

    def _advance(self) -> None:
        if not self.rosters.is_founded():
            self._say_who_founds()
            return
        with self.rounds.lock:
            rounds, wanted = self.rounds.all(), self.settings.rounds.wanted
            for order in programme.orders(rounds, wanted, self._since):
                self._obey(order)
            if self.halted() and not self._said_halted:
                self._said_halted = True
                ended = self.rounds.all().items()
                reasons = {str(n): each.reason for n, each in ended if each.reason}
                log.error("programme_halted", reasons=reasons)

    def _say_who_founds(self) -> None:
        missing = self.rosters.missing_founders()
        if missing != self._said_missing:
            log.info("waiting_for_founders", missing=list(missing))
        self._said_missing = missing

    def _obey(self, order: programme.Order) -> None:
        if isinstance(order, programme.StartKeying):
            rules = self._rules()
            phase = Phase.KEYED if rules.seats else Phase.KEYING
            self.rounds.begin(Round(order.round, rules, phase))
        elif isinstance(order, programme.PublishPlan):
            self._publish_plan(order.round)
        elif isinstance(order, programme.Abandon):
            self.rounds.apply(order.round, machine.Abandoned("the programme is over"))

    def _publish_plan(self, number: int) -> None:
        rules = self.rounds.get(number).rules
        if not self.archive.has_plan(number) and self._are_others(rules):
            reason = "roster or settings have changed since the round began; the next one begins"
            self.rounds.apply(number, machine.Abandoned(reason))
            return
        if rules.seats and not self.archive.has_plan(number) and not self._seats_are_up(number):
            return
        if self.archive.has_plan(number) and not self.archive.made_plan(number):
            # No site has seen it: it is given out once the round names it.
            reason = "the plan kept for it is not one that this coordinator made; a new one begins"
            log.error("plan_not_ours", round=number, who_acts="the database's operator")
            self.rounds.apply(number, machine.Abandoned(reason))
            return
        plan = self._make_plan(number)
        self.rounds.apply(number, machine.Planned(plan.digest()))

    def _are_others(self, rules: Rules) -> bool:
        """Return whether a round cannot go by the plan that would be made for it now."""
        now = self._rules()
        # Who certifies is counted by the plan's roster, so the round must go by the same.
        return rules != now if rules.seats else rules.products != now.products

    def _seats_are_up(self, number: int) -> bool:
        away = self.starts.away()
        if away and self._said_away[0] != number:
            self._said_away = (number, away)
            log.warning(
                "seats_away",
                round=number,
                seats=", ".join(away),
                reason="no plan names their start; their operators must start them",
            )
        _, waited = self.progress.quiet(number)
        return self.starts.are_enough(waited)

    def _make_plan(self, number: int) -> Plan:
        if self.archive.has_plan(number):
            return self.archive.plan(number)  # signed before a crash: sites may have seen it
        key_record = self.rounds.get(number).key_record or None
        model, release = self._start()
        plan = planning.plan(
            self.settings,
            self._roster_to_plan(key_record),
            number,
            key_record,
            model,
            release,
            self.starts.of_plan() if self.settings.rounds.seats else planning.NO_STARTS,
            programme.released(self.rounds.all()),
        )
        self.archive.keep_plan(number, plan)
        return plan

    def _roster_to_plan(self, key_record: str | None) -> Roster:
        """Return the newest roster; the one under which the round's key was made, if it has one."""
        if key_record is None:
            return self.roster()
        record = canonical.decode(self.archive.document("key", key_record).body, KeyRecord)
        return self.rosters.under(record.specification.roster)

    def _start(self) -> tuple[str, str | None]:
        """Return the model the next round starts from, and the release that made it."""
        last = programme.last_released(self.rounds.all())
        if not last:
            return self.settings.model.initial, None
        release = self.rounds.get(last).release
        stated = canonical.decode(self.archive.document("release", release).body, Release)
        return stated.model, release

    def _rules(self) -> Rules:
        rounds = self.settings.rounds
        return Rules(
            openers=rounds.openers,
            trainers=tuple(member.participant for member in self.roster().trainers()),
            quorum=rounds.quorum,
            agreement=rounds.agreement,
            progress_seconds=float(rounds.deadline.progress_seconds),
            abandon_seconds=float(rounds.deadline.abandon_seconds),
            auditor=rounds.auditor or "",
            seats=rounds.seats,
            unchecked=self.settings.scheme.unchecked,
            products=self._asks_for_scores(CKKS),
            scores=self._asks_for_scores(SHARES),
        )

    def _asks_for_scores(self, name: str) -> bool:
        scheme = self.settings.scheme
        return scheme.name == name and scheme.score_step_log2 is not None


def _refusal(current: Round, sender: str, code: str) -> machine.Event:
    if current.phase is Phase.KEYING:
        return machine.KeyRefused(sender)
    if current.phase is Phase.AUDITING:
        return machine.AuditRefused(sender, code)
    return machine.OpeningFailed(sender, code)
