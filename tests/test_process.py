"""What every process of Veilsum has in common, seen from outside."""

import subprocess
import sys


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
