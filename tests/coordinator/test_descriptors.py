"""Open files, and what each port may take of them."""

import resource

import pytest
from structlog.testing import capture_logs

from coordinator.descriptors import (
    ENOUGH,
    JOINING_CONNECTIONS,
    MEMBERS_CONNECTIONS,
    WANTED,
    open_files,
    raise_limit,
    room_of,
)


@pytest.fixture
def limits(monkeypatch):
    """The limits of a process that can be set as a test likes."""
    found = {"limits": (256, 256)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: found["limits"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: found.update(limits=wanted))
    return found


@pytest.mark.parametrize("files", [64, 256, 1024, ENOUGH, WANTED])
def test_ports_leave_files_for_the_disk_and_the_database(files):
    """Else whoever connects stops rounds, not calls."""
    room = room_of(files)

    assert room.members + room.joining <= files * 5 // 8
    assert room.members <= MEMBERS_CONNECTIONS
    assert room.joining <= JOINING_CONNECTIONS


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 524_288), (WANTED, 524_288)),
        ((1024, 16_384), (16_384, 16_384)),
        ((1024, resource.RLIM_INFINITY), (WANTED, resource.RLIM_INFINITY)),
        ((524_288, 524_288), (524_288, 524_288)),
    ],
)
def test_a_process_opens_as_many_files_as_it_may(limits, before, after):
    """A shell's 1,024 are a default for shells. It is never lowered."""
    limits["limits"] = before

    with capture_logs() as said:
        raise_limit()

    assert limits["limits"] == after
    assert said == []


def test_few_files_are_said_with_what_they_mean(limits):
    with capture_logs() as said:
        raise_limit()

    (line,) = said
    assert (line["event"], line["limit"], line["connections"]) == ("few_open_files", 256, 128)


def test_no_limit_is_as_many_as_are_wanted(limits):
    limits["limits"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    assert open_files() == WANTED
