"""What every process of Veilsum has in common, seen from outside."""

import json
import os
import pty
import subprocess
import sys

import pytest


def test_a_process_that_has_a_log_leaves_no_core_file() -> None:
    """It would hold keys; the limit is hard, so that nothing in the process raises it again."""
    program = (
        "import resource; from veilsum.process import start_log; start_log(); "
        "print(*resource.getrlimit(resource.RLIMIT_CORE))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["0", "0"]


KNOCKED = """
import asyncio, socket, sys
from contextlib import suppress

from veilsum.cli import main

sys.argv = ["veilsum", "version"]
with suppress(SystemExit):
    main()
import structlog
from tests.loopback import endpoint, make_federation
from veilsum.process import start_log

start_log()

async def serve():
    async with endpoint(make_federation()) as address:
        await asyncio.to_thread(knock, int(address.split(":")[1]))
    structlog.get_logger().info("knocked")

def knock(port):
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
        line.recv(10)

asyncio.run(serve())
"""


@pytest.mark.parametrize(("verbosity", "others"), [(None, 0), ("INFO", 1)])
def test_a_log_holds_no_lines_but_ours(verbosity: str | None, others: int) -> None:
    """`doctor` and port scanners knock without a handshake; whoever wants gRPC's word asks."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    asked = {} if verbosity is None else {"GRPC_VERBOSITY": verbosity}

    done = subprocess.run(
        [sys.executable, "-c", KNOCKED],
        check=True,
        capture_output=True,
        text=True,
        env={**environment, **asked},
    )

    *foreign, line = sorted(done.stderr.splitlines(), key=lambda each: each.startswith("{"))
    assert json.loads(line)["event"] == "knocked"
    assert min(len(foreign), 1) == others


ARENAS = """
import ctypes, threading
{start}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(12)

def allocate():
    together.wait()
    for _ in range(500):
        libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


def arenas(start: str) -> int:
    """Return how many arenas a process has after twelve threads have allocated."""
    done = subprocess.run(
        [sys.executable, "-c", ARENAS.format(start=start)],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.count("<heap nr=")


def test_memory_does_not_grow_with_the_number_of_threads() -> None:
    """A process that serves keeps two arenas; without that it has one for nearly each thread."""
    started = arenas("from veilsum.process import start_log; start_log()")

    assert 1 <= started <= 2
    assert arenas("") > 2


HELD = """
import resource
{start}
freed = [bytearray(1 << 20) for _ in range(2)]
del freed  # from here on glibc takes what is as large from its heap
held, small = [], []
for _ in range(64):
    held.append(bytearray(1 << 20))
    small.append(bytearray(1 << 14))  # what stays behind each of them
held.clear()
pages = int(open("/proc/self/statm").read().split()[1])
print(pages * resource.getpagesize() >> 20)
"""


def held(start: str) -> int:
    """Return the MiB of a process that has freed 64 of them, between which something stays."""
    command = [sys.executable, "-c", HELD.format(start=start)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_memory_that_chunks_took_goes_back_when_they_are_gone() -> None:
    """Without that, the holes that they leave stay with the process, and the next do not fit."""
    told = held("from veilsum.process import give_memory_back; give_memory_back()")
    untold = held("import veilsum.process")

    assert told + 32 < untold


PROGRESS = """
import structlog
from veilsum.process import start_log
start_log()
log = structlog.get_logger()
log.info("sending", round=3, chunks=5, of=40, mib_per_second=1.5, seconds_left=35.0)
log.info("contribution_sent", round=3)
"""


def test_a_log_has_no_escape_codes_where_there_is_no_terminal() -> None:
    """Progress is an event among the others there; what reads the log reads JSON lines."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRESS],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TERM": "xterm", "FORCE_COLOR": "1"},
    )

    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in said] == ["sending", "contribution_sent"]
    assert "\x1b" not in done.stderr


def test_on_a_terminal_an_upload_is_a_bar_with_its_rate() -> None:
    """Under the log's lines; and the cursor that the bar hid is there again at the end."""
    ours, theirs = pty.openpty()

    with os.fdopen(theirs, "wb") as terminal:
        subprocess.run(
            [sys.executable, "-c", PROGRESS],
            check=True,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )

    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "sending, round 3" in shown
    assert "5/40" in shown
    assert "1.5 MiB/s" in shown
    assert "contribution_sent" in shown
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
