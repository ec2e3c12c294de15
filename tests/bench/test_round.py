"""A whole round, measured: small here, in real processes over real TLS."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from privacy.errors import ConfigError
from privacy.roster import Roster
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.sealing import SEAL_OVERHEAD
from tests.processes.alive import MARK, left_after, new_mark
from veilsum.bench import round as measured
from veilsum.bench import setting as settings
from veilsum.bench.memory import Peaks
from veilsum.bench.round_report import RoundReport
from veilsum.bench.setting import Setting
from veilsum.bench.timeline import Timeline
from veilsum.bench.untrained import Untrained, mean_digest
from veilsum.cli import app
from veilsum.federation.founding import Places
from veilsum.progress import Meter

from .sample_reports import ROUND

PARAMETERS = 20_000
OPENERS = 2
"""As many as there are sites here."""
SEALS = 3 * (SEAL_OVERHEAD + 64 + 8)
"""Two secrets and a third of a declared norm, sealed to each seat."""
MESSAGES_BYTES = 2000
"""Room for the signed header, each message's fields and gRPC's frames."""
LOADED = """
import json, sys
import veilsum.bench.site_process, veilsum.bench.untrained_workshop
print(json.dumps(sorted(sys.modules)))
"""


@contextmanager
def nothing_left(folder: Path) -> Iterator[Path]:
    """Where all files of a round go; no process of it is left when the block ends."""
    mark = new_mark()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, mark)
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder
    assert left_after(mark, 10) == {}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with nothing_left(tmp_path):
        yield tmp_path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RoundReport:
    """One round of two sites and an auditor; it leaves neither files nor processes."""
    with nothing_left(tmp_path_factory.mktemp("round")) as place:
        found = measured.run(participants=2, parameters=PARAMETERS, value_bits=16)
    assert list(place.iterdir()) == []
    return found


def test_every_site_ends_with_the_plaintext_mean(report: RoundReport) -> None:
    """To the last bit: what is fast and wrong is not measured."""
    assert report.exact


def test_every_stage_took_time(report: RoundReport) -> None:
    """The auditor's too, which is on unless told otherwise."""
    measured_stages = msgspec.structs.asdict(report.stages)
    stages = {name: stage for name, stage in measured_stages.items() if stage}

    assert report.auditor
    assert {"keying", "fold", "audit"} <= stages.keys()
    assert all(stage.seconds > 0 for stage in stages.values())
    assert sum(stage.seconds for stage in stages.values()) > 0.5 * report.seconds
    assert max(stage.begins for stage in stages.values()) < report.seconds


def test_bytes_count_every_message(report: RoundReport) -> None:
    """The ciphertexts, of which the last is padded, a seal for each opener, and little more."""
    ciphertexts = -(-PARAMETERS // 8192) * 4096 * 60 // 8 * 2
    seals = OPENERS * (SEAL_OVERHEAD + MASK_SECRET_BYTES)

    sent = report.bytes_per_parameter_up * PARAMETERS

    assert ciphertexts + seals < sent < ciphertexts + seals + MESSAGES_BYTES


def test_memory_is_that_of_every_kind_of_process(report: RoundReport) -> None:
    """So short a vector is encrypted by the worker itself."""
    assert set(report.peak_rss_mib) >= {"coordinator", "agent", "worker", "auditor"}
    assert all(20 < mib < 1000 for mib in report.peak_rss_mib.values())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> RoundReport:
    """One round of two sites and three seats; it leaves neither files nor processes."""
    with nothing_left(tmp_path_factory.mktemp("shared")) as place:
        found = measured.run(participants=2, parameters=PARAMETERS, value_bits=16, scheme="shares")
    assert list(place.iterdir()) == []
    return found


@pytest.mark.slow
class TestARoundUnderShares:
    """The same with three seats' processes in place of the auditor's."""

    def test_every_site_ends_with_the_plaintext_mean(self, shared: RoundReport) -> None:
        """To the last bit."""
        assert shared.exact
        assert (shared.scheme, shared.auditor) == ("shares", False)

    def test_every_stage_took_time(self, shared: RoundReport) -> None:
        """Those of seats, and none of a key or an audit."""
        stages = msgspec.structs.asdict(shared.stages)
        there = {name for name, stage in stages.items() if stage}

        assert there >= {"planning", "judge", "certify", "add", "protect", "upload", "open"}
        assert not there & {"keying", "fold", "audit"}
        assert all(stages[name].seconds > 0 for name in there - {"planning"})
        assert stages["planning"].seconds >= 0

    def test_bytes_are_eight_a_value_and_little_more(self, shared: RoundReport) -> None:
        """One component travels; seals to three seats, the header and the tag are the rest."""
        sent = shared.bytes_per_parameter_up * PARAMETERS

        assert 8 * PARAMETERS + SEALS < sent < 8 * PARAMETERS + SEALS + MESSAGES_BYTES

    def test_memory_is_that_of_seats_too(self, shared: RoundReport) -> None:
        """Of the largest of the three."""
        assert set(shared.peak_rss_mib) >= {"coordinator", "agent", "worker", "seat"}
        assert all(20 < mib < 1000 for mib in shared.peak_rss_mib.values())


def test_a_scheme_that_there_is_not_is_refused(folder: Path) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match="one of: ckks, shares"):
        measured.run(participants=2, parameters=100, value_bits=12, scheme="plain")

    assert list(folder.iterdir()) == []


def test_a_site_that_declines_ends_the_measurement(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits an hour for it; its log stays, and the message says where."""
    ordinary = settings._site

    def strict(places: Places, setting: Setting, name: str, roster: Roster, at: str) -> dict:
        document = ordinary(places, setting, name, roster, at)
        if name == "site-002":
            document["policy"]["smallest_cohort"] = 9
        return document

    monkeypatch.setattr(settings, "_site", strict)

    with pytest.raises(ConfigError, match=r"site-002: .*policy.smallest_cohort = 9.* look into"):
        measured.run(participants=2, parameters=100, value_bits=12, auditor=False)

    (kept,) = folder.iterdir()
    assert (kept / "logs" / "site-002.log").exists()


def test_a_measurement_that_is_stopped_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM in the middle of the round: neither keys nor processes, and no second one matters."""
    seen: list[Path] = []

    def stop(*_: object) -> None:
        seen.extend(folder.rglob("*.key"))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Peaks, "look", stop)
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        measured.run(participants=2, parameters=100, value_bits=12, auditor=False)

    assert ended.value.code == 128 + signal.SIGTERM
    assert seen != []
    assert list(folder.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("models", "exact"),
    [
        (("right", "right"), True),
        (("right", "wrong"), False),
        (("wrong", "wrong"), False),
    ],
)
def test_a_round_is_exact_only_if_every_site_holds_the_mean(
    folder: Path, monkeypatch: pytest.MonkeyPatch, models: tuple[str, str], exact: bool
) -> None:
    """That sites agree is not enough."""

    def found(places: Places, setting: Setting) -> Timeline:
        right = mean_digest(list(setting.updates.values()))
        digests = {"right": right, "wrong": "ab" * 32}
        held = dict(zip(setting.sites, (digests[each] for each in models), strict=True))
        return Timeline(1.0, ROUND.stages, dict.fromkeys(held, 1), held)

    monkeypatch.setattr(measured, "_run", lambda places, setting, watcher: Peaks())
    monkeypatch.setattr(measured, "_timeline", found)

    report = measured.run(participants=2, parameters=100, value_bits=12)

    assert report.exact is exact


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [((1, 100, 16), "two at least"), ((2, 1 << 20, 8), "take --value-bits 12 or more")],
)
def test_sizes_that_do_not_go_together_are_refused(
    folder: Path, sizes: tuple[int, int, int], reason: str
) -> None:
    """Before anything is started."""
    participants, parameters, value_bits = sizes

    with pytest.raises(ConfigError, match=reason):
        measured.run(participants=participants, parameters=parameters, value_bits=value_bits)

    assert list(folder.iterdir()) == []


def test_updates_are_drawn_anew() -> None:
    """A file that is left over from another run cannot pass for this one's."""
    first, second = (
        settings.draw(2, 10, 16, auditor=False, entropy=os.urandom).updates for _ in range(2)
    )

    keys = [update.key for drawn in (first, second) for update in drawn.values()]
    assert len(set(keys)) == 4
    assert isinstance(first["site-001"], Untrained)


def test_a_measured_site_loads_no_training() -> None:
    """Its memory would otherwise be that of PyTorch."""
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True)

    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded & {"torch", "opacus", "sklearn", "matplotlib"} == set()
    assert "tenseal" in loaded


@pytest.mark.parametrize("exact", [True, False])
def test_the_command_says_whether_the_round_was_exact(
    monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    """By its exit status, in its JSON and on the screen."""
    found = msgspec.structs.replace(ROUND, exact=exact)
    asked: list[dict[str, object]] = []

    def run(*, watcher: Meter, **given: object) -> RoundReport:
        asked.append(given)
        return found

    monkeypatch.setattr(measured, "run", run)

    shown = CliRunner().invoke(app, ["bench", "round", "--no-auditor", "--participants", "3"])
    printed = CliRunner().invoke(app, ["bench", "round", "--json"])

    assert shown.exit_code == printed.exit_code == (0 if exact else 1)
    assert f"exact: {'yes' if exact else 'NO'}" in shown.stdout
    assert json.loads(printed.stdout)["exact"] is exact
    sizes = {"participants": 8, "parameters": 11_700_000, "value_bits": 16}
    defaults = {**sizes, "auditor": True, "scheme": "ckks"}
    assert asked == [{**defaults, "participants": 3, "auditor": False}, defaults]
