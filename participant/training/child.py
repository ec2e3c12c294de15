"""What every process that a site's agent starts, or its worker, does first."""

import multiprocessing
import os
import resource
import signal
import threading


def begin() -> None:
    """Leave the end to whoever started this process: it outlives neither them nor their orders.

    Ctrl-C is for the agent, a core file would hold an update, and a process whose parent was
    killed has nobody to hand its work to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
