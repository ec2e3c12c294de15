"""Failpoints act where and when they were asked to, and nowhere else."""

import re
import threading
from itertools import chain
from pathlib import Path
from typing import get_args

import pytest

from coordinator.rounds.round import AnyEffect
from privacy.errors import ConfigError
from privacy.failpoints import NAMES, PLACES, Failpoints, parse

SOURCE = Path(__file__).parents[2]
# Passed under names that are made as the process runs: `effect.before_erase` and its like.
MADE = "effect."


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
        armed.hit("accept.before_chunk")

    assert seen == ["send.after_chunk:2"]


def test_places_are_counted_apart_and_may_stand_several_times() -> None:
    """One process can be stopped at several places."""
    armed, seen = points(
        " agree.after_seal:1=pause , agree.after_seal:3=exit,fold.after_row:2=pause,"
    )

    for name in ("agree.after_seal", "fold.after_row") * 2 + ("agree.after_seal",):
        armed.hit(name)

    assert seen == ["agree.after_seal:1", "fold.after_row:2", "exit agree.after_seal:3"]


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


def test_a_place_that_there_is_not_is_refused() -> None:
    """It would never be reached, and what it was to show would pass for shown."""
    with pytest.raises(ConfigError, match=r"no failpoint send\.before_lunch"):
        points("send.before_lunch:1=pause")


def test_a_place_that_is_not_in_the_table_cannot_be_passed() -> None:
    """Where failpoints are on: nobody could ask for it, and no sweep would go there."""
    armed, _ = points("send.after_chunk:1=pause")

    with pytest.raises(AssertionError, match=r"send\.before_lunch is not one of PLACES"):
        armed.hit("send.before_lunch")


def test_the_table_has_every_place_in_the_code_and_no_other() -> None:
    """A durable step that somebody adds is swept from then on."""
    folders = ("coordinator", "participant", "veilsum/chain")
    files = chain.from_iterable((SOURCE / each).rglob("*.py") for each in folders)
    hit = re.compile(r"(?:\bhit|step)\b[(,]\s*\"([a-z_]+\.[a-z_]+)\"")
    found = {name for path in files for name in hit.findall(path.read_text())}
    made = {name for name in NAMES if name.startswith(MADE)}
    effects = [each.__name__.lower() for each in get_args(AnyEffect)]

    assert found | made == NAMES
    assert made == {f"effect.{when}_{each}" for when in ("before", "after") for each in effects}


def test_a_place_is_passed_by_one_kind_of_process() -> None:
    """So that a test knows whom to start with it."""
    assert len(NAMES) == sum(map(len, PLACES.values())) >= 40


def test_passages_of_many_threads_are_all_counted() -> None:
    """The place named is reached once, whoever reaches it."""
    armed, seen = points("agree.after_seal:800=pause")
    threads = [
        threading.Thread(target=lambda: [armed.hit("agree.after_seal") for _ in range(100)])
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == ["agree.after_seal:800"]
