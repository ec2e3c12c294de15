"""Make the wire captures of a release: `python -m tests.processes.wire_vectors FOLDER`.

FOLDER is where the federations run. What comes of them goes to tests/vectors/wire/<release>. It is
run once more whenever a call is added or changed before that release is out, and never after: a
capture that today's code does not understand is a defect of today's code.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.source_tree import ROOT
from tests.wire_calls import CALLS, FOLDER, IMAGE, entry, filled, kind_of, methods, part_of
from veilsum.release import RELEASE

from .federation import federation

SEATS = {"ckks": (), "shares": ("seat-1", "seat-2", "seat-3")}


def main(folder: Path) -> None:
    """Run two rounds of real processes under each scheme, and keep one message of each kind."""
    for scheme, seats in SEATS.items():
        with federation(folder / scheme, seats=seats, auditor="auditor", wanted=2) as made:
            made.start_coordinator(double="recording_coordinator")
            made.start_auditor("auditor")
            made.run_to_the_end()
    out = FOLDER / ".".join(RELEASE.split(".")[:2])
    out.mkdir(parents=True, exist_ok=True)
    places = [folder / scheme / "coordinator" / "wire" for scheme in SEATS]
    body = json.dumps(_calls(places), indent=1, sort_keys=True)
    (out / CALLS).write_text(body + "\n")
    _image(out / IMAGE)


def _calls(places: list[Path]) -> list[dict[str, Any]]:
    found = []
    for method in sorted(methods(), key=lambda each: each.full_name):
        for direction in ("request", "response"):
            kind, parts = kind_of(method, direction), {}
            for body in _seen(places, method.full_name, direction):
                parts.setdefault(part_of(kind.FromString(body)), body)
            made = filled(kind)
            found += [entry(method, direction, body, seen=True) for body in parts.values()]
            whole = made.SerializeToString(deterministic=True)
            found.append(entry(method, direction, whole, seen=False))
    return found


def _seen(places: list[Path], method: str, direction: str) -> list[bytes]:
    """Return what was seen, of each kind the one that says most first."""
    paths = [each for place in places for each in (place / method).glob(f"{direction}-*")]
    return sorted((path.read_bytes() for path in paths), key=len, reverse=True)


def _image(path: Path) -> None:
    buf = Path(sys.executable).parent / "buf"
    command = [str(buf), "build", "--exclude-source-info", "-o", str(path)]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
