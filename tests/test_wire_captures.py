"""Calls of every release so far, byte by byte: today's code reads them and writes them the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.source_tree import ROOT
from tests.wire_calls import FOLDER, IMAGE, fields_of, filled, kept, kind_of, methods, releases
from veilsum.release import RELEASE

TODAY = {method.full_name: method for method in methods()}
CALLS = [(release, call) for release in releases() for call in kept(release)]
NAMES = [f"{release}-{c['method'].rpartition('.')[2]}-{c['direction']}" for release, c in CALLS]

UNKNOWN = b"\xc2\x3e\x05later"
"""Field 1000, of five bytes: one that a newer release may have added."""

REMAKE = "python -m tests.processes.wire_vectors FOLDER"

with_each_call = pytest.mark.parametrize(("release", "call"), CALLS, ids=NAMES)


@with_each_call
def test_a_message_is_read_and_written_as_it_was(release, call):
    """A site of that release reads what we write, and we what it writes."""
    body = bytes.fromhex(call["bytes"])

    message = kind_of(TODAY[call["method"]], call["direction"]).FromString(body)

    assert fields_of(message) == call["fields"]
    assert message.SerializeToString(deterministic=True) == body


@with_each_call
def test_a_field_of_a_newer_release_is_kept_and_changes_nothing(release, call):
    """Whoever passes a message on passes on what it does not know."""
    body = bytes.fromhex(call["bytes"])

    message = kind_of(TODAY[call["method"]], call["direction"]).FromString(body + UNKNOWN)

    assert fields_of(message) == call["fields"]
    assert UNKNOWN in message.SerializeToString(deterministic=True)


@pytest.mark.parametrize("release", releases())
def test_every_call_of_a_release_is_kept_whole(release):
    """Both directions, with every field that there was; a call is never taken away."""
    made = {(c["method"], c["direction"]) for c in kept(release) if not c["seen"]}

    assert {direction for _, direction in made} == {"request", "response"}
    assert {method for method, _ in made} <= set(TODAY)


@pytest.mark.parametrize("release", releases())
def test_a_real_federation_was_there(release):
    """What is captured is what processes said to each other, under both schemes."""
    seen = {c["method"].rpartition(".")[2] for c in kept(release) if c["seen"]}

    assert {"WatchRounds", "GetPlan", "GetRoster", "GetKey", "GetCohort", "GetRelease"} <= seen
    assert len(seen) > len({c["method"] for c in kept(release)}) / 2


def test_the_captures_of_this_release_have_all_of_its_fields():
    """As long as a release is not out its captures are made again: see REMAKE."""
    now = ".".join(RELEASE.split(".")[:2])

    for call in kept(now):
        if not call["seen"]:
            whole = filled(kind_of(TODAY[call["method"]], call["direction"]))
            assert fields_of(whole) == call["fields"], f"{call['method']}: {REMAKE}"
    assert {call["method"] for call in kept(now)} == set(TODAY), REMAKE


@pytest.mark.parametrize("release", releases())
def test_no_proto_breaks_a_release(release):
    """`buf breaking` against what the release was built from; `make protos` asks the same."""
    buf = Path(sys.executable).parent / "buf"
    command = [str(buf), "breaking", "--against", str(FOLDER / release / IMAGE)]

    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
