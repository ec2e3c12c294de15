"""Failpoints act where and when they were asked to, and nowhere else."""

import threading

import pytest

from privacy.errors import ConfigError
from privacy.failpoints import Failpoints, parse


def points(text: str) -> tuple[Failpoints, list[str]]:
    """Failpoints whose one action is written down."""
    seen: list[str] = []
    return parse(
        text, {"pause": seen.append, "exit": lambda name: seen.append(f"exit {name}")}
    ), seen


def test_without_the_variable_nothing_ever_happens() -> None:
    """In production this is an empty dictionary."""
    quiet, seen = points("")

    for _ in range(5):
        quiet.hit("send.after_chunk")
        Failpoints().hit("send.after_chunk")

    assert seen == []


def test_a_failpoint_acts_at_the_passage_it_names_and_once() -> None:
    """`:2` is the second time, not the second and all later ones."""
    armed, seen = points("send.after_chunk:2=pause")

    for _ in range(4):
        armed.hit("send.after_chunk")
        armed.hit("send.before_chunk")

    assert seen == ["send.after_chunk:2"]


def test_places_are_counted_apart_and_may_stand_several_times() -> None:
    """One process can be stopped at several places."""
    armed, seen = points(" a.b:1=pause , a.b:3=exit,c.d:2=pause,")

    for name in ("a.b", "c.d", "a.b", "c.d", "a.b"):
        armed.hit(name)

    assert seen == ["a.b:1", "c.d:2", "exit a.b:3"]


@pytest.mark.parametrize(
    "text",
    [
        "send.after_chunk",
        "send.after_chunk:2",
        "send.after_chunk=pause",
        "send.after_chunk:0=pause",
        "send.after_chunk:-1=pause",
        "send.after_chunk:02=pause",
        "send.after_chunk:two=pause",
        "send:2=pause",
        "Send.After:2=pause",
        "a.b:1=pause\nc.d:1=pause",
        "a.b:1=explode",
        "a.b:1=",
        "a.b:1=pause;c.d:1=pause",
    ],
)
def test_what_is_not_of_the_form_is_refused(text: str) -> None:
    """A misspelt failpoint that does nothing would make a test pass for nothing."""
    with pytest.raises(ConfigError, match="exit, pause") as caught:
        points(text)

    assert "VEILSUM_FAILPOINTS" in str(caught.value)


def test_passages_of_many_threads_are_all_counted() -> None:
    """The place named is reached once, whoever reaches it."""
    armed, seen = points("a.b:800=pause")
    threads = [
        threading.Thread(target=lambda: [armed.hit("a.b") for _ in range(100)]) for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == ["a.b:800"]
