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
