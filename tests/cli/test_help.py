"""Help loads next to nothing, so that it is there at once."""

import json
import subprocess
import sys

import pytest

LOADED = """
import json, sys
from veilsum.cli import main
sys.argv = ["veilsum", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

LIBRARIES = {"annotated_doc", "shellingham", "typer"}

OURS = {
    "privacy",
    "privacy.errors",
    "privacy.policy_line",
    "veilsum",
    "veilsum.process",
    "veilsum.screen",
}
"""Besides the commands themselves, which are words, types and options."""


def loaded(*words: str) -> set[str]:
    """The modules that a process has loaded after a command line."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "words",
    [("--help",), ("coordinator", "--help"), ("coordinator", "serve", "--help")],
    ids=" ".join,
)
def test_help_loads_no_more_than_it_needs(words: tuple[str, ...]) -> None:
    """Under 150 ms, of a sub-command 250: that is what it takes without pydantic, Rich, structlog.

    The time itself is measured by hand, on an idle machine; a busy one would fail any bound here.
    """
    names = loaded(*words)

    ours = {name for name in names if name.partition(".")[0] in {"privacy", "veilsum"}}
    others = {
        top
        for top in (name.partition(".")[0] for name in names)
        if top not in sys.stdlib_module_names and top not in {"privacy", "veilsum", "__main__"}
    }
    # An editable install, and other packages' start-up files, load some of their own.
    before = {name.partition(".")[0] for name in loaded_by_nothing()}
    assert others - before <= LIBRARIES
    assert {name for name in ours if not name.startswith("veilsum.cli")} <= OURS
    assert not names & {"asyncio", "multiprocessing", "sqlite3", "http.client"}


def loaded_by_nothing() -> set[str]:
    """The modules that are there before the first line of a program."""
    done = subprocess.run(
        [sys.executable, "-c", "import json, sys; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))
