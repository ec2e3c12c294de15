"""A round's secret never reaches a named file, as the kernel sees it.

A child process makes a key, encrypts and opens under strace, which records every file it
opens and every byte it writes, and where to. The secret, in each of its forms, must not be
among what went to a name.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.missing_tools import missing, require_tool

CHILD = """
import sys
import numpy as np
from privacy.schemes import ckks, ring
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import Mask

parameters = CkksParameters(28, 24, 100)
key = ckks.make_cohort_key(parameters)
ckks.check_cohort_key(parameters, key.public, key.secret)
values = np.arange(4096)
mask = Mask(parameters, bytes(32), b"")
payload = ckks.CkksProtector(parameters, 4096, key.public, mask).protect(0, values)
total = CkksCombiner(parameters, 4096).combine(0, [payload])
revealed = ckks.CkksRevealer(parameters, 4096, key.secret, [mask]).reveal(0, total, 1)
assert np.array_equal(revealed, values)
coefficients = ckks._decode_secret(parameters, key.secret)
residues = ring.to_transform(coefficients, parameters.modulus).tobytes()
for path, form in zip(sys.argv[1:], (key.secret, residues, coefficients.tobytes())):
    open(path, "wb").write(form)
print(key.secret.hex(), residues.hex(), coefficients.tobytes().hex())
"""

WRITE = re.compile(r"\b(?:write|writev|pwrite64|pwritev2?)\(\d+<([^>]*)>")
OPENED = re.compile(r'\b(?:openat|open|creat)\([^"]*"([^"]*)"[^)]*(?:O_WRONLY|O_RDWR|O_CREAT)')
BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})+)"')
# Anonymous memory, and the pipes by which the child tells its parent.
NAMELESS = re.compile(r"/?memfd:|/memfd:|pipe:|/proc/self/fd/|/dev/null|/dev/pts/")


def traced(tmp_path: Path, *leaks: Path) -> tuple[list[bytes], list[tuple[str, bytes]], set[str]]:
    """Run the child: forms of its secret, what it wrote and where, and names it opened."""
    require_tool("strace", "strace")
    log = tmp_path / "trace"
    calls = "trace=openat,open,creat,write,writev,pwrite64,pwritev,pwritev2"
    command = ["strace", "-f", "-y", "-xx", "-s", "200000", "-e", calls, "-o", str(log)]
    run = subprocess.run(
        [*command, sys.executable, "-B", "-c", CHILD, *map(str, leaks)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    if run.returncode and "ptrace" in run.stderr:
        missing("strace may not trace here (ptrace is not permitted)")
    assert run.returncode == 0, run.stderr
    writes, names = [], set()
    for line in log.read_text().splitlines():
        strings = [bytes.fromhex(each.replace("\\x", "")) for each in BYTES.findall(line)]
        if call := WRITE.search(line):
            writes.append((named(call[1]), b"".join(strings)))
        elif call := OPENED.search(line):
            names.add(named(call[1]))
    return [bytes.fromhex(form) for form in run.stdout.split()], writes, names


def named(text: str) -> str:
    """A path as strace prints it under -xx."""
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


def windows(forms: list[bytes]) -> list[bytes]:
    """Pieces of 24 bytes from all over each form, so that a part is found as well."""
    return [
        form[at : at + 24]
        for form in forms
        for at in range(40, len(form) - 24, max(64, len(form) // 64))
        if len(set(form[at : at + 24])) > 2
    ]


def leaked(forms: list[bytes], writes: list[tuple[str, bytes]]) -> set[str]:
    pieces = windows(forms)
    return {
        path
        for path, content in writes
        if not NAMELESS.match(path) and any(piece in content for piece in pieces)
    }


def test_the_secret_is_in_no_named_file(tmp_path: Path) -> None:
    """sealapi knows paths only; ours lead to anonymous memory."""
    forms, writes, names = traced(tmp_path)

    assert leaked(forms, writes) == set()
    assert {name for name in names if not NAMELESS.match(name)} == set()
    # SEAL's bytes did go through the calls that are watched.
    assert any("memfd:" in path and len(content) > 30_000 for path, content in writes)


def test_a_secret_that_is_written_to_a_file_is_found(tmp_path: Path) -> None:
    """The control: each form, in its own file, is seen by the same search."""
    leaks = [tmp_path / name for name in ("packed", "residues", "coefficients")]

    forms, writes, names = traced(tmp_path, *leaks)

    assert leaked(forms, writes) == {str(leak) for leak in leaks}
    assert {str(leak) for leak in leaks} <= names
