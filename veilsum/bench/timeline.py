"""When each stage of a round began and ended, from what its processes have logged. Pure.

The coordinator logs every step of the round's machine; a site, its tasks and its upload;
a measured site's worker, how long each order took it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

import msgspec

from privacy.errors import InternalError

Event = Mapping[str, object]

_MIB = 1 << 20
# What a site's worker is told, to protect an update and to open a sum.
_ORDERS = {"ckks": ("protect", "reveal"), "shares": ("share", "reveal_shares")}


class Spread(msgspec.Struct, frozen=True):
    """Of one figure at each member that has it."""

    min: float
    median: float
    max: float


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stage of the round, by the wall clock.

    Attributes:
        begins: seconds after the round began.
        seconds: from the first member's beginning to the last one's end.
        each: seconds of each member's own part.
        mib_per_second: what each member did in its part, in MiB of ciphertexts a second.
    """

    begins: float
    seconds: float
    each: Spread | None = None
    mib_per_second: Spread | None = None


class Stages(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stages in the order they begin; `protect` and `upload` overlap between members.

    `keying`, `fold` and `audit` are of a round under ckks; `planning`, `judge`, `certify` and
    `add` of one under shares.

    Attributes:
        keying: from the last founder's signature to the signed plan.
        planning: the same where no key is made.
        prepare: at each site, until it protects: plan checked, budget reserved, the update
            made, clipped and put on the grid.
        protect: encrypted, checked and written to the outbox, at each site.
        upload: from a contribution's header to its receipt.
        fold: all contributions added up.
        audit: added up again by the auditor, and signed.
        judge: until the last seat has said which contributions are what their sites signed,
            and keep the norm bound; what came before the last one, seats have checked already.
        certify: until enough have signed the cohort.
        add: until the seats' sums are stated, compared and signed for.
        open: the sum fetched and opened at the first opener; `each`: opened at each opener.
        seal: the model made from it sealed to all trainers, and stored.
        agree: until enough openers have signed what they made themselves.
        adopt: until the last trainer holds the model.
    """

    prepare: Stage
    protect: Stage
    upload: Stage
    open: Stage
    seal: Stage
    agree: Stage
    adopt: Stage
    keying: Stage | None = None
    planning: Stage | None = None
    fold: Stage | None = None
    audit: Stage | None = None
    judge: Stage | None = None
    certify: Stage | None = None
    add: Stage | None = None


@dataclass(frozen=True)
class Timeline:
    """A round's stages, and what it took from the founders' last signature to the last model."""

    seconds: float
    stages: Stages
    bytes_up: Mapping[str, int]
    models: Mapping[str, str]


def timeline(
    coordinator: Sequence[Event], sites: Mapping[str, Sequence[Event]], scheme: str = "ckks"
) -> Timeline:
    """Return the timeline of the one round in the logs of its coordinator and its sites.

    Args:
        scheme: "ckks" or "shares".

    Raises:
        InternalError: an event that every round has is in none of them.
    """
    planned = _first(coordinator, "round_stepped", what="Planned")
    # Where no key is made, the plan may be there before a site has said that it joined.
    founded = min(planned, *(_first(events, "joined") for events in sites.values()))
    added = _first(coordinator, "round_stepped", what="Aggregated")
    signed = min(_times(coordinator, "round_stepped", what="Countersigned"), default=None)
    opened = min(at for each in sites.values() for at in _times(each, "done", task="Open"))
    sealed = _first(coordinator, "round_stepped", what="ModelSealed")
    agreed = _first(coordinator, "round_stepped", phase="done")
    adopted = max(_first(events, "model_adopted") for events in sites.values())
    sent = {
        name: int(str(_one(each, "contribution_sent")["bytes"])) for name, each in sites.items()
    }

    protecting, opening = _ORDERS[scheme]

    def between(begin: float, end: float, each: Spread | None = None) -> Stage:
        return Stage(begin - founded, end - begin, each)

    opens = _spread([lap.seconds for each in sites.values() for lap in _laps(each, opening)])
    protects = _protects(sites, protecting)
    prepares = {name: _Lap(planned, lap.began) for name, lap in protects.items()}
    summed = (_summed_by_coordinator if scheme == "ckks" else _summed_by_seats)(coordinator)
    planning = "keying" if scheme == "ckks" else "planning"
    stages = Stages(
        **{planning: between(founded, planned)},
        **{name: between(*laps) for name, laps in summed.items()},
        prepare=_stage(founded, prepares),
        protect=_stage(founded, protects, sent),
        upload=_stage(founded, _uploads(coordinator, sites), sent),
        open=between(signed or added, opened, opens),
        seal=between(opened, sealed),
        agree=between(sealed, agreed),
        adopt=between(agreed, adopted),
    )
    models = {name: str(_one(each, "model_adopted")["model"]) for name, each in sites.items()}
    return Timeline(adopted - founded, stages, sent, models)


def _summed_by_coordinator(coordinator: Sequence[Event]) -> Mapping[str, tuple[float, float]]:
    """Return when a sum under ckks was made, and countersigned if it was."""
    counted = _first(coordinator, "round_stepped", phase="aggregating")
    added = _first(coordinator, "round_stepped", what="Aggregated")
    signed = _times(coordinator, "round_stepped", what="Countersigned")
    return {"fold": (counted, added), **({"audit": (added, min(signed))} if signed else {})}


def _summed_by_seats(coordinator: Sequence[Event]) -> Mapping[str, tuple[float, float]]:
    """Return when the candidates of a round under shares were judged, certified and added."""
    closed, judged, certified = (
        _first(coordinator, "round_stepped", phase=phase)
        for phase in ("judging", "certifying", "summing")
    )
    added = _first(coordinator, "round_stepped", what="Aggregated")
    return {
        "judge": (closed, judged),
        "certify": (judged, certified),
        "add": (certified, added),
    }


@dataclass(frozen=True, slots=True)
class _Lap:
    """What one member did, in seconds of the epoch."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def _protects(sites: Mapping[str, Sequence[Event]], what: str) -> dict[str, _Lap]:
    return {name: _laps(events, what)[0] for name, events in sites.items()}


def _uploads(coordinator: Sequence[Event], sites: Mapping[str, Sequence[Event]]) -> dict[str, _Lap]:
    return {
        name: _Lap(
            _first(coordinator, "contribution_begun", participant=name),
            _first(events, "contribution_sent"),
        )
        for name, events in sites.items()
    }


def _stage(start: float, laps: Mapping[str, _Lap], sent: Mapping[str, int] | None = None) -> Stage:
    began = min(lap.began for lap in laps.values())
    ended = max(lap.ended for lap in laps.values())
    each = _spread([lap.seconds for lap in laps.values()])
    speeds = [sent[name] / _MIB / lap.seconds for name, lap in laps.items()] if sent else []
    return Stage(began - start, ended - began, each, _spread(speeds) if speeds else None)


def _laps(events: Sequence[Event], what: str) -> list[_Lap]:
    """Return what a measured site's worker says of its orders of one kind."""
    found = _matching(events, "worked", {"what": what})
    return [_Lap(_time(each) - float(str(each["seconds"])), _time(each)) for each in found]


def _spread(figures: Sequence[float]) -> Spread:
    return Spread(min(figures), median(figures), max(figures))


def _first(events: Sequence[Event], name: str, **fields: object) -> float:
    return _time(_one(events, name, **fields))


def _times(events: Sequence[Event], name: str, **fields: object) -> list[float]:
    return [_time(each) for each in _matching(events, name, fields)]


def _one(events: Sequence[Event], name: str, **fields: object) -> Event:
    for event in _matching(events, name, fields):
        return event
    raise InternalError(f"no process has logged {name} {dict(fields)}")


def _matching(events: Sequence[Event], name: str, fields: Mapping[str, object]) -> Iterator[Event]:
    wanted = {"event": name, **fields}
    return (each for each in events if wanted.items() <= each.items())


def _time(event: Event) -> float:
    return datetime.fromisoformat(str(event["timestamp"])).timestamp()
