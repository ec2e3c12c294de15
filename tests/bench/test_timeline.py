"""When the stages of a round were, from logs whose times were written by hand."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from privacy.errors import InternalError
from veilsum.bench.timeline import Event, Spread, Stage, Timeline, timeline

MIB = 1 << 20


def at(second: float, event: str, **fields: Any) -> Event:
    return {"event": event, "timestamp": f"2026-11-21T10:00:{second:09.6f}Z", **fields}


def coordinator() -> list[Event]:
    def step(second: float, what: str, phase: str) -> Event:
        return at(second, "round_stepped", round=1, what=what, phase=phase)

    return [
        at(0, "serving"),
        step(12, "KeyOffered", "keying"),
        step(14, "Planned", "open"),
        at(20, "contribution_begun", participant="a", round=1),
        at(22, "contribution_begun", participant="b", round=1),
        step(25, "Committed", "open"),
        step(30, "Committed", "aggregating"),
        step(33, "Aggregated", "opening"),
        step(41, "ModelSealed", "opening"),
        step(44, "ReleaseSigned", "opening"),
        step(46, "ReleaseSigned", "done"),
    ]


def sites() -> dict[str, list[Event]]:
    return {
        "a": [
            at(10.5, "joined"),
            at(12, "done", task="MakeKey", round=1),
            at(19, "worked", what="protect", seconds=4.0),
            at(24, "contribution_sent", round=1, bytes=8 * MIB),
            at(37, "worked", what="reveal", seconds=3.0),
            at(38, "done", task="Open", round=1),
            at(47, "model_adopted", round=1, model="aa"),
        ],
        "b": [
            at(10, "joined"),
            at(21, "worked", what="protect", seconds=2.0),
            at(30, "contribution_sent", round=1, bytes=8 * MIB),
            at(39, "worked", what="reveal", seconds=5.0),
            at(40, "done", task="Open", round=1),
            at(50, "model_adopted", round=1, model="bb"),
        ],
    }


@pytest.fixture
def found() -> Timeline:
    return timeline(coordinator(), sites())


def stages(found: Timeline) -> dict[str, tuple[float, float]]:
    """Begin and length of each stage that there was."""
    there: Iterator[tuple[str, Stage | None]] = iter(msgspec.structs.asdict(found.stages).items())
    return {name: (stage.begins, stage.seconds) for name, stage in there if stage}


def test_stages_begin_and_end_where_the_logs_say(found: Timeline) -> None:
    """Counted from the last founder's signature, which is when the first site has joined."""
    assert stages(found) == {
        "keying": (0, 4),
        "prepare": (4, 5),
        "protect": (5, 6),
        "upload": (10, 10),
        "fold": (20, 3),
        "open": (23, 5),
        "seal": (28, 3),
        "agree": (31, 5),
        "adopt": (36, 4),
    }
    assert found.seconds == 40


def test_each_members_own_part_is_told(found: Timeline) -> None:
    """Wall time of a stage hides who is slow."""
    protect, upload = found.stages.protect, found.stages.upload

    assert found.stages.prepare.each == Spread(1, 3, 5)
    assert found.stages.prepare.mib_per_second is None
    assert protect.each == Spread(2, 3, 4)
    assert protect.mib_per_second == Spread(2, 3, 4)
    assert upload.each == Spread(4, 6, 8)
    assert upload.mib_per_second == Spread(1, 1.5, 2)
    assert found.stages.open.each == Spread(3, 4, 5)


def test_bytes_and_models_are_each_sites_own(found: Timeline) -> None:
    """A round is exact only if they all hold the same model."""
    assert found.bytes_up == {"a": 8 * MIB, "b": 8 * MIB}
    assert found.models == {"a": "aa", "b": "bb"}


def test_an_audit_is_a_stage_of_its_own() -> None:
    """Opening then begins with the auditor's signature, not with the sum."""
    log = coordinator()
    log[7:8] = [
        at(33, "round_stepped", round=1, what="Aggregated", phase="auditing"),
        at(36, "round_stepped", round=1, what="Countersigned", phase="opening"),
    ]

    found = stages(timeline(log, sites()))

    assert found["fold"] == (20, 3)
    assert found["audit"] == (23, 3)
    assert found["open"] == (26, 2)


def shared() -> tuple[list[Event], dict[str, list[Event]]]:
    """The same round under shares: three more phases, and no key."""

    def step(second: float, what: str, phase: str) -> Event:
        return at(second, "round_stepped", round=1, what=what, phase=phase)

    log = coordinator()
    log[1:2] = []
    log[5:7] = [
        step(30, "Committed", "judging"),
        step(30.5, "Nominated", "judging"),
        step(31, "Judged", "certifying"),
        step(31.5, "CohortSigned", "summing"),
        step(32.5, "Summed", "aggregating"),
        step(33, "Aggregated", "opening"),
    ]
    members = sites()
    renamed = {"protect": "share", "reveal": "reveal_shares"}
    for name, events in members.items():
        members[name] = [
            {**each, "what": renamed[each["what"]]} if "what" in each else each for each in events
        ]
    return log, members


def test_a_round_under_shares_has_the_stages_of_its_seats() -> None:
    """And neither a key nor a sum of the coordinator's."""
    found = stages(timeline(*shared(), "shares"))

    assert found["planning"] == (0, 4)
    assert found["protect"] == (5, 6)
    assert found["judge"] == (20, 1)
    assert found["certify"] == (21, 0.5)
    assert found["add"] == (21.5, 1.5)
    assert found["open"] == (23, 5)
    assert not {"keying", "fold", "audit"} & found.keys()


def test_a_plan_that_is_there_before_a_site_has_joined_took_no_time() -> None:
    """Nothing begins before the round does."""
    log, members = shared()
    members["b"][0] = at(14.5, "joined")
    members["a"][0] = at(14.25, "joined")

    found = stages(timeline(log, members, "shares"))

    assert found["planning"] == (0, 0)
    assert found["prepare"] == (0, 5)
    assert min(begins for begins, _ in found.values()) == 0


@pytest.mark.parametrize("phase", ["judging", "certifying", "summing", "opening"])
def test_a_stage_of_seats_that_is_not_in_the_log_is_no_zero(phase: str) -> None:
    """Each phase is told by the first step that reached it."""
    log, members = shared()
    log = [each for each in log if each.get("phase") != phase]

    with pytest.raises(InternalError, match="no process has logged"):
        timeline(log, members, "shares")


@pytest.mark.parametrize("index", [2, 3, 6, 7, 8, 10])
def test_a_stage_that_is_not_in_the_log_is_no_zero(index: int) -> None:
    """An event that was renamed must not turn into a figure."""
    log = coordinator()
    del log[index]

    with pytest.raises(InternalError, match="no process has logged"):
        timeline(log, sites())


@pytest.mark.parametrize("event", ["joined", "contribution_sent", "model_adopted"])
def test_every_site_must_have_come_to_the_end(event: str) -> None:
    """A site that has adopted nothing may hold another model."""
    logs = sites()
    logs["b"] = [each for each in logs["b"] if each["event"] != event]

    with pytest.raises(InternalError, match=event):
        timeline(coordinator(), logs)
