"""Run a module as the coordinator's unit lets it run: nothing that is written is ever executed.

`python -m tests.deploy.confined MODULE ARGUMENTS…`; children inherit it. Where the kernel is too
old to be asked (before 6.3), the module runs without.
"""

import ctypes
import runpy
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE, _REFUSE_EXEC_GAIN = 38, 65, 1


def main(module: str, arguments: list[str]) -> None:
    """Become `module`, with no way to gain what it has not."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    libc.prctl(_PR_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
