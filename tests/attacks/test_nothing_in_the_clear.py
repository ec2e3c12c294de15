"""No file of a site ever holds its update, and no code of `participant` could write one.

The one way out is the outbox, and what goes there is protected. The demo's witness, which
does write updates, is the control: the same search finds what it writes.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.test_key_on_disk import BYTES, NAMELESS, WRITE, named, windows
from tests.missing_tools import missing, require_tool
from tests.participant import signed_round as made
from tests.source_tree import ROOT, parsed, source_files
from veilsum.demo.witness import FOLDER as FOLDER_OF_DEMO_WITNESS

WRITERS = {
    "open", "fdopen", "open_descriptor", "write_bytes", "write_text", "write", "writelines",
    "save", "savez", "savetxt", "tofile", "dump", "memmap", "mkstemp", "NamedTemporaryFile",
    "TemporaryFile", "touch", "copyfile", "symlink_to", "hardlink_to", "connect",
}  # fmt: skip
"""What puts bytes on a disk, or opens the way there."""

ALLOWED = {
    "participant/auditing/accusing.py": {"connect"},
    "participant/auditing/memory.py": {"connect", "touch"},
    "participant/auditing/run.py": {"connect"},
    "participant/wire/coordinator.py": {"write"},
    "participant/keys.py": {"open", "fdopen", "write"},
    "participant/ledger/store.py": {"open_descriptor", "connect", "copyfile"},
    "participant/memory.py": {"connect", "touch"},
    "participant/model/models.py": {"open"},
    "participant/joining/status.py": {"connect"},
    "participant/opening/reveal_shares.py": {"open"},
    "participant/seat/memory.py": {"connect", "touch"},
    "participant/seat/outbox.py": {"open"},
    "participant/seat/parts.py": {"fdopen", "open", "write"},
    "participant/seat/peer.py": {"open"},
    "participant/wire/send.py": {"write"},
    "participant/wire/unreachable.py": {"write"},
    "participant/model/wrap.py": {"connect"},
    "veilsum/files.py": {"open", "fdopen", "hardlink_to", "write"},
}
"""Keys, ledger and memory; a model read; connections to the coordinator and to the chain, parts
of what is in the outbox, a handshake in memory; at a seat the component that travels, encrypted
as it came, a seal that is opened, and its memory; a sum that a trainer opens; and `DURABLE`."""

DURABLE = {
    "participant/auditing/accusing.py": "evidence against a seat: signed records",
    "participant/auditing/disputing.py": "a proof against a commit: two nodes' words at most",
    "participant/scoring/kept_update.py": "an update for its score, sealed to its site alone",
    "participant/settling/dossier.py": "receipt, commit and hashes of its rounds",
    "participant/settling/own_rounds.py": "a proof against a commit: hashes",
    "participant/auditing/report.py": "what an auditor found",
    "participant/sending/contribute.py": "the coordinator's receipts",
    "participant/kept.py": "the signed documents of its rounds",
    "participant/joining/init.py": "public files, and the chain's keystores",
    "participant/joining/admitting.py": "which version of the roster it has signed",
    "participant/joining/enrol.py": "the link while it joins, its certificate, its file",
    "participant/joining/own.py": "what it asked when it joined, all of it public",
    "participant/joining/place.py": "the fingerprint that was confirmed, in its own file",
    "participant/keys.py": "the pair of key and certificate that is renewed",
    "participant/model/models.py": "models, which trainers hold anyway",
    "participant/sending/outbox.py": "the signed header",
    "participant/settling/payout.py": "the receipt of a payment",
    "participant/sending/protect.py": "protected chunks",
    "participant/seat/outbox.py": "a seat's sums, sealed to trainers",
    "participant/seat/parts.py": "headers and seals, as they came",
    "participant/sending/share.py": "the component that travels, encrypted",
    "participant/opening/spool.py": "chunks of a protected sum, which came from the coordinator",
}
"""Who calls `write_durably` of veilsum/files.py, or makes a `Draft`, and for what."""


def calls(path: Path) -> set[str]:
    """Names of all that is called in a file."""
    functions = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    return {
        function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        for function in functions
    }


FILES = Path("veilsum/files.py")
PARTICIPANT = [p for p in source_files() if p.parts[0] == "participant" or p == FILES]


@pytest.mark.parametrize("path", PARTICIPANT, ids=str)
def test_only_the_files_named_here_write(path: Path) -> None:
    """A new place that writes must be looked at by somebody, and named above."""
    assert calls(path) & WRITERS <= ALLOWED.get(path.as_posix(), set())


def test_the_list_of_writers_is_not_longer_than_the_truth() -> None:
    """An exception that nothing needs is a hole for what comes next."""
    found = {path.as_posix(): calls(path) & WRITERS for path in PARTICIPANT}

    assert {path: names for path, names in found.items() if names} == ALLOWED


def test_who_writes_durably_is_known() -> None:
    """And only `protect` has an update in its hands, after it was protected."""
    callers = {
        path.as_posix()
        for path in PARTICIPANT
        if calls(path) & {"write_durably", "Draft"} and path != FILES
    }

    assert callers == set(DURABLE)


def test_nothing_of_a_participant_knows_the_witness() -> None:
    """Neither imported nor named by a setting: a ledger's witness is another site's checkpoint."""
    for path in PARTICIPANT:
        text = (ROOT / path).read_text()

        assert "veilsum.demo" not in text
        assert FOLDER_OF_DEMO_WITNESS not in text


CHILD = """
import os, sys
from pathlib import Path
import numpy as np
from participant.sending.outbox import Outbox
from participant.sending import protect
from participant.model.models import Models
from participant.sending.protect import ckks_protector
from participant.training.workshop import Workshop
from tests.participant import signed_round as made
from tests.participant.tiny_site import TinySite
from veilsum.demo.witness import WitnessedProtector

folder = Path(sys.argv[1])
packed, public = (folder / "plan").read_bytes(), (folder / "public").read_bytes()
plain = Workshop(TinySite(), os.urandom)
watched = Workshop(TinySite(), os.urandom, protector=lambda plan, key, mask: WitnessedProtector(
    ckks_protector(plan, key, mask), folder / "witness"))
(folder / "witness").mkdir()
models = folder / "models"
Models(models).keep(made.SHAPES, made.FIRST)
pooled = Workshop(TinySite(), os.urandom)
for number, workshop in enumerate((plain, watched, pooled), 1):
    if workshop is pooled:
        protect.POOL_FROM_VALUES = 0
    workshop.train(packed, models)
    update = workshop._update
    forms = [update.tobytes(), update.astype(np.float32).tobytes()]
    workshop.privatise(packed)
    forms.append(workshop._integers.tobytes())
    forms.append(workshop._integers.astype(np.float64).tobytes())
    workshop.protect(packed, public, os.urandom(32), Outbox(folder / "outbox", number).start())
    print(" ".join(form.hex() for form in forms))
"""


@pytest.mark.slow
def test_an_update_is_in_no_file_that_a_contribution_writes(tmp_path: Path) -> None:
    """As the kernel sees it: train, privatise and protect, in the order of a real round."""
    strace = require_tool("strace", "strace")
    (tmp_path / "plan").write_bytes(made.plan_bytes())
    (tmp_path / "public").write_bytes(made.cohort_key().public)
    log = tmp_path / "trace"
    traced = "trace=write,writev,pwrite64,pwritev,pwritev2"
    command = [strace, "-f", "-y", "-xx", "-s", "200000", "-e", traced, "-o", log]

    run = subprocess.run(
        [*map(str, command), sys.executable, "-B", "-c", CHILD, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if run.returncode and "ptrace" in run.stderr:
        missing("strace may not trace here (ptrace is not permitted)")
    assert run.returncode == 0, run.stderr

    clean, watched, pooled = (
        [bytes.fromhex(form) for form in line.split()] for line in run.stdout.splitlines()
    )
    writes = written(log)
    assert holders(clean, writes) == set()
    # Processes of a pool are handed integers through a pipe, which has no name.
    assert holders(pooled, writes) == set()
    assert any(piece in content for _, content in writes for piece in windows(pooled))
    # The control: what the witness wrote is found by the same search.
    witness = {str(tmp_path / "witness" / f"update-{at:04d}.npy") for at in range(2)}
    assert holders(watched, writes) == witness
    # And the chunks of both did pass through the calls that are watched.
    drafts = [path for path, _ in writes if ".draft" in path and "/outbox/" in path]
    assert len(drafts) >= 6


def written(log: Path) -> list[tuple[str, bytes]]:
    """What was written, and where to."""
    found = []
    for line in log.read_text().splitlines():
        if call := WRITE.search(line):
            strings = [bytes.fromhex(each.replace("\\x", "")) for each in BYTES.findall(line)]
            found.append((named(call[1]), b"".join(strings)))
    return found


def holders(forms: list[bytes], writes: list[tuple[str, bytes]]) -> set[str]:
    """The named files in which a piece of one of the forms was written."""
    pieces = windows(forms)
    assert len(pieces) > 100
    return {
        path
        for path, content in writes
        if not NAMELESS.match(path) and any(piece in content for piece in pieces)
    }
