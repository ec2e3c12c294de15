"""What each dataset has given away: for the release, for life, over time, and from now on."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from privacy.budget import NO_COSTS, Budgets, Costs, SpendLimits, costs_of
from privacy.events import DpEvent, Events
from privacy.ledger import Row, RowType
from veilsum.audit.forecast import forecast, pace
from veilsum.audit.second_opinion import kinds_of

from . import contents
from .asked import Asked
from .clocks import SPENDS
from .contents import View
from .evidence import Evidence
from .release import plan_of

_STEPS_AHEAD = 24


def datasets_of(
    evidence: Sequence[Evidence], release: contents.ReleaseFacts, asked: Asked
) -> Iterator[contents.DatasetSpend]:
    """Yield what each dataset has given away: by its own ledger, else by the headers it signed.

    Headers say nothing of other jobs, nor of a limit.
    """
    owners = set()
    for one in evidence:
        if one.bundle.head.evidence == "site":
            owners.add(one.participant)
            yield from (
                _of_ledger(one, name, release, asked) for name in sorted(one.state.datasets)
            )
    for one in evidence:
        if one.bundle.head.evidence == "run":
            yield from _of_claims(one, release, asked, owners)


def spending_of(one: Evidence) -> Iterator[contents.Spending]:
    """Yield how the spend of each dataset of a ledger grew, and how long its budget lasts."""
    for name in sorted(one.state.datasets):
        rows = [row for row in one.of(*SPENDS) if row.dataset.id == name]
        if rows:
            yield _spending_of(one, name, rows)


def _of_ledger(
    one: Evidence, name: str, release: contents.ReleaseFacts, asked: Asked
) -> contents.DatasetSpend:
    dataset, limits = one.state.dataset(name), one.state.standing.limits()
    mine = [row for row in one.of(*SPENDS) if row.dataset.id == name and row.event is not None]
    of_release = [row for row in mine if _within(row, release)]
    delta = _delta(limits, mine)
    events = [row.event for row in of_release if row.event is not None]
    life = [row.event for row in mine if row.event is not None]
    budgets = one.state.budgets(name, limits or SpendLimits(delta, "1", "1"))
    return contents.DatasetSpend(
        participant=one.participant,
        organisation=one.bundle.head.organisation,
        dataset=name,
        version=dataset.version,
        parent=dataset.parent,
        unit=dataset.unit,
        neighbouring=dataset.neighbor,
        max_records_per_unit=dataset.max_records_per_unit,
        delta=delta,
        sums=_view("sums", events, life, budgets, limits, asked),
        vector=_view("vector", events, life, budgets, limits, asked),
        rounds=len({(row.job, row.round) for row in of_release}),
        clips=_distinct(row.clip for row in of_release),
        noise=_noise_of(events),
        honest=max((row.noise.honest for row in mine if row.noise is not None), default=None),
    )


def _of_claims(
    one: Evidence, release: contents.ReleaseFacts, asked: Asked, owners: set[str]
) -> Iterator[contents.DatasetSpend]:
    claims: dict[str, list[Events]] = {}
    for _, _, header in one.checked.papers.headers():
        if release.round is None or header.round <= release.round:
            claims.setdefault(header.participant, []).append(header.claim)
    plan = plan_of([one], release)
    for name in sorted(claims.keys() - owners):
        if plan is None:
            continue
        privacy = plan.terms.privacy
        yield contents.DatasetSpend(
            participant=name,
            organisation="",
            dataset="as its signed headers claim",
            version=None,
            parent=None,
            unit=privacy.unit,
            neighbouring=privacy.neighbouring,
            max_records_per_unit=None,
            delta=privacy.delta,
            sums=_claimed("sums", claims[name], privacy.delta, asked),
            vector=_claimed("vector", claims[name], privacy.delta, asked),
            rounds=len(claims[name]),
            clips=(privacy.training.clip,),
            noise=_noise_of(claims[name]),
        )


def _claimed(view: str, claims: Sequence[Events], delta: str, asked: Asked) -> View:
    events: list[DpEvent] = [getattr(one, view) for one in claims]
    spent = getattr(_total(claims), view).epsilon(float(delta))
    return View(release=spent, release_opinions=asked.about(events, float(delta)))


def _view(
    view: str,
    events: Sequence[Events],
    life: Sequence[Events],
    budgets: Budgets,
    limits: SpendLimits | None,
    asked: Asked,
) -> View:
    budget = getattr(budgets, view)
    return View(
        release=getattr(_total(events), view).epsilon(budget.delta),
        lifetime=budget.committed.epsilon(budget.delta),
        charged=budget.charged().epsilon(budget.delta),
        cap=None if limits is None else budget.limit_epsilon,
        remaining=None if limits is None else budget.remaining_epsilon(),
        release_opinions=asked.about([getattr(each, view) for each in events], budget.delta),
        lifetime_opinions=asked.about([getattr(each, view) for each in life], budget.delta),
    )


def _total(events: Iterable[Events]) -> Costs:
    return sum((costs_of(each) for each in events), start=NO_COSTS)


def _noise_of(events: Sequence[Events]) -> contents.NoiseFacts:
    sums = kinds_of(each.sums for each in events)
    vector = kinds_of(each.vector for each in events)
    return contents.NoiseFacts(
        sampling_rates=_distinct(q for q, _ in sums),
        steps=sum(sums.values()),
        sums=_distinct(sigma for _, sigma in sums),
        vector=_distinct(sigma for _, sigma in vector),
    )


def _within(row: Row, release: contents.ReleaseFacts) -> bool:
    if row.type is not RowType.COMMIT or row.job != release.job:
        return False
    return release.round is None or (row.round or 0) <= release.round


def _delta(limits: SpendLimits | None, rows: Sequence[Row]) -> str:
    if limits is not None:
        return limits.delta
    return next((row.cum.delta for row in reversed(rows) if row.cum is not None), "0.00001")


def _distinct(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text is not None}))


def _spending_of(one: Evidence, name: str, rows: Sequence[Row]) -> contents.Spending:
    limits = one.state.standing.limits()
    delta = float(_delta(limits, rows))
    points, spent = [], NO_COSTS
    for row in rows:
        spent = spent + (NO_COSTS if row.event is None else costs_of(row.event))
        at = (spent.sums.epsilon(delta), spent.vector.epsilon(delta))
        points.append(contents.Point(row.ts, *at))
    known = contents.Spending(
        participant=one.participant,
        dataset=name,
        points=tuple(points),
        sums_cap=None if limits is None else float(limits.epsilon_for_life),
        vector_cap=None if limits is None else float(limits.vector_epsilon_for_life),
    )
    commits = [row for row in rows if row.type is RowType.COMMIT]
    if limits is None or not commits or commits[-1].event is None:
        return known
    budgets, cost = one.state.budgets(name, limits), costs_of(commits[-1].event)
    return _foreseen(known, budgets, cost, [datetime.fromisoformat(row.ts) for row in commits])


def _foreseen(
    known: contents.Spending, budgets: Budgets, cost: Costs, times: Sequence[datetime]
) -> contents.Spending:
    ahead = forecast(budgets, cost, pace(times), times[-1])
    if ahead.exhausted is None or not ahead.rounds:
        return replace(known, rounds_left=ahead.rounds)
    points = []
    for step in range(1, _STEPS_AHEAD + 1):
        part = step / _STEPS_AHEAD
        # what is set aside counts as spent by then
        total = _charged(budgets) + cost.times(round(ahead.rounds * part))
        at = (total.sums.epsilon(budgets.sums.delta), total.vector.epsilon(budgets.vector.delta))
        when = times[-1] + (ahead.exhausted - times[-1]) * part
        points.append(contents.Point(when.isoformat(timespec="seconds"), *at))
    exhausted = ahead.exhausted.isoformat(timespec="seconds")
    return replace(known, rounds_left=ahead.rounds, exhausted=exhausted, ahead=tuple(points))


def _charged(budgets: Budgets) -> Costs:
    return Costs(budgets.sums.charged(), budgets.vector.charged())
