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

    Attributes:
        keying: from the last founder's signature to the signed plan.
        prepare: at each site, until it protects: plan checked, budget reserved, the update
            made, clipped and put on the grid.
        protect: encrypted, checked and written to the outbox, at each site.
        upload: from a contribution's header to its receipt.
        fold: all contributions added up.
        audit: added up again by the auditor, and signed.
        open: the sum fetched and opened at the first opener; `each`: opened at each opener.
        seal: the model made from it sealed to all trainers, and stored.
        agree: until enough openers have signed what they made themselves.
        adopt: until the last trainer holds the model.
    """

    keying: Stage
    prepare: Stage
    protect: Stage
    upload: Stage
    fold: Stage
    open: Stage
    seal: Stage
    agree: Stage
    adopt: Stage
    audit: Stage | None = None


@dataclass(frozen=True)
class Timeline:
    """A round's stages, and what it took from the founders' last signature to the last model."""

    seconds: float
    stages: Stages
    bytes_up: Mapping[str, int]
    models: Mapping[str, str]


def timeline(coordinator: Sequence[Event], sites: Mapping[str, Sequence[Event]]) -> Timeline:
    """Return the timeline of the one round in the logs of its coordinator and its sites.

    Raises:
        InternalError: an event that every round has is in none of them.
    """
    founded = min(_first(events, "joined") for events in sites.values())
    planned = _first(coordinator, "round_stepped", what="Planned")
    counted = _first(coordinator, "round_stepped", phase="aggregating")
    added = _first(coordinator, "round_stepped", what="Aggregated")
    signed = min(_times(coordinator, "round_stepped", what="Countersigned"), default=None)
    opened = min(at for each in sites.values() for at in _times(each, "done", task="Open"))
    sealed = _first(coordinator, "round_stepped", what="ModelSealed")
    agreed = _first(coordinator, "round_stepped", phase="done")
    adopted = max(_first(events, "model_adopted") for events in sites.values())
    sent = {
        name: int(str(_one(each, "contribution_sent")["bytes"])) for name, each in sites.items()
    }

    def between(begin: float, end: float, each: Spread | None = None) -> Stage:
        return Stage(begin - founded, end - begin, each)

    opens = _spread([lap.seconds for each in sites.values() for lap in _laps(each, "reveal")])
    protects = _protects(sites)
    prepares = {name: _Lap(planned, lap.began) for name, lap in protects.items()}
    stages = Stages(
        keying=between(founded, planned),
        prepare=_stage(founded, prepares),
        protect=_stage(founded, protects, sent),
        upload=_stage(founded, _uploads(coordinator, sites), sent),
        fold=between(counted, added),
        audit=between(added, signed) if signed else None,
        open=between(signed or added, opened, opens),
        seal=between(opened, sealed),
        agree=between(sealed, agreed),
        adopt=between(agreed, adopted),
    )
    models = {name: str(_one(each, "model_adopted")["model"]) for name, each in sites.items()}
    return Timeline(adopted - founded, stages, sent, models)


@dataclass(frozen=True, slots=True)
class _Lap:
    """What one member did, in seconds of the epoch."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def _protects(sites: Mapping[str, Sequence[Event]]) -> dict[str, _Lap]:
    return {name: _laps(events, "protect")[0] for name, events in sites.items()}


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
