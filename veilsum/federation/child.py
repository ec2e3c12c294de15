"""Run a module as a child that ends with its parent, however the parent ends.

`python -m veilsum.federation.child PARENT MODULE ARGUMENTS…`, with the parent's process id.

The child asks the kernel itself. Asking between fork and exec would run Python, and
gRPC's fork handlers, in a copy of a process that has threads.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, module: str, arguments: list[str]) -> None:
    """Become `module`, and die when the process `parent` does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # it was gone before the kernel was asked
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
