"""Open files of this process: as many as its system allows, shared out to the ports."""

import resource
from dataclasses import dataclass
from typing import Final

import structlog

log = structlog.get_logger()

WANTED: Final = 65_536
"""More helps nobody: the ports take no more than their own bounds."""

ENOUGH: Final = 8_192
"""Below this the members' port takes fewer connections than it might."""

MEMBERS_CONNECTIONS: Final = 4_096
JOINING_CONNECTIONS: Final = 256


@dataclass(frozen=True)
class Room:
    """Connections that each port takes at once; what is left is for disk and database."""

    members: int = MEMBERS_CONNECTIONS
    joining: int = JOINING_CONNECTIONS


def room_of(files: int) -> Room:
    """Return what the ports may take of so many open files: five eighths of them, at most."""
    return Room(min(MEMBERS_CONNECTIONS, files // 2), min(JOINING_CONNECTIONS, files // 8))


def raise_limit() -> None:
    """Let this process open as many files as it may, and say so if they are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if (files := open_files()) < ENOUGH:
        room = room_of(files)
        log.warning(
            "few_open_files",
            limit=files,
            wanted=ENOUGH,
            connections=room.members,
            joining_connections=room.joining,
            fix="raise LimitNOFILE of the service, or the hard limit of `ulimit -n`",
        )


def open_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft
