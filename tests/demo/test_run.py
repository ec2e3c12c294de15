"""The demo as its users start it: one whole run, and what is left when it is cut short."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from privacy import canonical
from privacy.errors import ConfigError
from privacy.roster import Roster
from tests.demo.sample_report import (
    AUDITOR,
    KILLED_SEAT,
    SEATS,
    SITES,
    sample,
    sample_caught,
)
from tests.processes.alive import MARK, alive, left_after, new_mark, wait_until
from veilsum.cli import app
from veilsum.demo import run
from veilsum.demo.clinical_data import patients_of
from veilsum.demo.federation import Places
from veilsum.demo.settings import LOCAL, SCORE_STEP_LOG2
from veilsum.demo.settlement import ESCROW
from veilsum.demo.witness import noted
from veilsum.federation.observe import events
from veilsum.process import EXIT_CODES

COMMAND = [sys.executable, "-P", "-m", "veilsum", "demo", "--json"]
PROMISED = {
    "rounds",
    "scheme",
    "mechanism",
    "exact",
    "audited",
    "cohort_sizes",
    "accuracy",
    "accuracy_alone",
    "accuracy_pooled",
    "epsilon",
    "vector_epsilon",
    "evidence",
    "delta",
    "bytes_per_parameter_up",
    "model_digest",
    "settlement",
    "contributions",
    "keys",
    "seconds",
    "state_dir",
}


@dataclass(frozen=True)
class Ended:
    """A demo that has run to its end."""

    status: int
    found: Mapping[str, Any]
    steps: str
    state: Path
    left: Mapping[int, str]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The one whole run under ckks of these tests."""
    return run_whole(tmp_path_factory.mktemp("demo") / "state", "ckks")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The one whole run under shares of these tests."""
    return run_whole(tmp_path_factory.mktemp("demo") / "state", "shares")


@pytest.fixture(scope="module")
def noised(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The one whole run of these tests in which hospitals share the noise."""
    return run_whole(tmp_path_factory.mktemp("demo") / "state", "ckks", "distributed")


@pytest.fixture(scope="module")
def cheated(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The one whole run of these tests whose coordinator cheats."""
    return run_whole(tmp_path_factory.mktemp("demo") / "state", "ckks", "local", "--cheat")


def run_whole(state: Path, scheme: str, mechanism: str = "local", *more: str) -> Ended:
    """Run the command to its end, with all files in `state`."""
    mark = new_mark()
    ended = subprocess.run(
        [*COMMAND, "--state", str(state), "--scheme", scheme, "--mechanism", mechanism, *more],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ended.stdout.count("\n") == 1, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    return Ended(ended.returncode, found, ended.stderr, state, left_after(mark, 5))


# `make demo` is the same run, and ends with 1 unless every check holds.
@pytest.mark.deep
@pytest.mark.timeout(300)
class TestTheWholeDemo:
    """Claims about one run."""

    def test_every_check_held(self, whole: Ended) -> None:
        """The exit status says so too."""
        assert [claim for claim, held in whole.found["checks"].items() if not held] == []
        assert whole.status == 0

    def test_all_that_is_promised_is_said(self, whole: Ended) -> None:
        """Scripts read it."""
        assert whole.found.keys() >= PROMISED
        assert (whole.found["rounds"], whole.found["scheme"]) == (3, "ckks")

    def test_sums_are_exact_with_and_without_the_killed_hospital(self, whole: Ended) -> None:
        """It was killed in the middle of its upload, and came back."""
        second = whole.found["history"][1]
        (killed,) = (site for site in second["sites"] if site["killed_at"])

        assert whole.found["exact"] is True
        assert whole.found["cohort_sizes"] == [4, 3, 4]
        assert killed["participant"] not in second["cohort"]
        assert killed["killed_at"] == "1 of 2 chunks sent"

    def test_the_auditor_added_every_sum_again_and_signed_it(self, whole: Ended) -> None:
        """By its own signed reports and by its signatures in the coordinator's database."""
        audits = [each["audited"] for each in whole.found["history"]]

        assert whole.found["audited"] is True
        assert [each["countersigned"] for each in whole.found["history"]] == [[AUDITOR]] * 3
        assert [each["contributions"] for each in audits] == [4, 3, 4]
        assert all(each["equal"] and each["bytes"] > 0 for each in audits)
        countersigned = events(whole.state / "logs" / f"{AUDITOR}.log", "countersigned")
        assert [each["round"] for each in countersigned] == [1, 2, 3]

    def test_the_model_is_good_and_its_price_in_privacy_is_kept(self, whole: Ended) -> None:
        """The limits of every hospital's own policy."""
        found = whole.found

        assert found["accuracy"] >= 0.90
        assert sorted(found["epsilon"]) == sorted(found["accuracy_alone"]) == list(SITES)
        assert all(0 < spent <= 3 for spent in found["epsilon"].values())
        assert found["delta"] <= 0.001
        assert found["delta"] < 1 / min(len(patients_of(name).malignant) for name in SITES)

    def test_an_upload_takes_at_most_8_bytes_a_parameter(self, whole: Ended) -> None:
        """More than the ciphertexts alone, since all messages count."""
        assert 7.5 < whole.found["bytes_per_parameter_up"] <= 8.0

    def test_every_hospital_was_paid_for_the_rounds_it_took_part_in(self, whole: Ended) -> None:
        """Eleven contributions in all, two of them of the hospital that was killed."""
        settlement = whole.found["settlement"]
        paid = {name: int(amount) for name, amount in settlement["payouts"].items()}

        assert settlement["transaction"].startswith("0x")
        assert settlement["method"] == "alignment/1"
        # Each of eleven parts is rounded down.
        assert ESCROW - 11 <= sum(paid.values()) <= ESCROW
        assert paid[SITES[3]] < paid[SITES[0]]

    def test_measured_parts_are_those_of_the_updates_beside_exact_shapley_values(
        self, whole: Ended
    ) -> None:
        """From what the witness noted; and both columns are parts of one."""
        found = whole.found["contributions"]

        assert sum(each["exact"] for each in found.values()) == pytest.approx(1)
        assert sum(each["unnoised"] for each in found.values()) == pytest.approx(1)
        for at, each in enumerate(whole.found["history"]):
            updates = {name: noted_in(whole, name, each["number"]) for name in each["cohort"]}
            total = np.sum(list(updates.values()), axis=0)
            scores = {name: rounded(update @ total) for name, update in updates.items()}
            for name, score in scores.items():
                part = score / sum(scores.values())
                assert found[name]["measured"][at] == pytest.approx(part)

    def test_the_files_it_names_are_there(self, whole: Ended) -> None:
        """The roster is what other tools verify with."""
        roster = canonical.decode(Path(whole.found["keys"]).read_bytes(), Roster)

        assert [member.participant for member in roster.members] == sorted([*SITES, AUDITOR])
        assert Path(whole.found["state_dir"]) == whole.state
        assert len(whole.found["model_digest"]) == 64
        for name in SITES:
            assert (whole.state / name / "models" / whole.found["model_digest"]).exists()

    def test_nothing_of_it_runs_afterwards(self, whole: Ended) -> None:
        """Neither a hospital, nor a worker, nor the auditor, nor the chain."""
        assert whole.left == {}

    def test_secrets_are_their_owners_only(self, whole: Ended) -> None:
        """Files 0600 and folders 0700: keys, passphrases, ledgers, models, databases."""
        names = {"passphrase", "chain.passphrase"}
        suffixes = {".key", ".sqlite", ".json"}
        folders = [whole.state / name for name in ("coordinator", AUDITOR, *SITES)]
        secret = [
            path
            for folder in folders
            for path in folder.rglob("*")
            if path.name in names or path.suffix in suffixes or path.parent.name == "models"
        ]

        assert len(secret) >= 30
        assert [str(path) for path in secret if _others_may(path)] == []
        assert [str(path) for path in folders if _others_may(path)] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestTheWholeDemoUnderShares:
    """Claims about one run with three seats."""

    def test_every_check_held(self, shared: Ended) -> None:
        """Sums, certificates, norms, scores, accuracy, epsilon, bytes, escrow."""
        assert [claim for claim, held in shared.found["checks"].items() if not held] == []
        assert (shared.status, shared.found["scheme"]) == (0, "shares")
        assert shared.found.keys() >= PROMISED

    def test_sums_are_exact_without_the_killed_hospital_and_the_killed_seat(
        self, shared: Ended
    ) -> None:
        """The seat had signed the cohort, and its sums were never stated."""
        third = shared.found["history"][2]["seated"]
        dead = [each for each in third["seats"] if each["killed_at"]]

        assert shared.found["exact"] is True
        assert shared.found["cohort_sizes"] == [4, 3, 4]
        assert [each["participant"] for each in dead] == [KILLED_SEAT]
        assert (dead[0]["certified"], dead[0]["stated"]) == (True, False)
        assert [each["stated"] for each in third["seats"]] == [True, True, False]

    def test_every_norm_was_held_against_the_bound(self, shared: Ended) -> None:
        """In the third round too: its third seat died later."""
        history = shared.found["history"]

        assert [each["seated"]["checked"] for each in history] == [e["cohort"] for e in history]
        assert not any(seat["unasked"] for e in history for seat in e["seated"]["seats"])

    def test_scores_are_those_of_the_updates(self, shared: Ended) -> None:
        """Rounded, from what the witness noted; none of the round that a seat did not live to."""
        history = shared.found["history"]

        assert [len(each["seated"]["scores"]) for each in history] == [4, 3, 0]
        assert history[2]["seated"]["void"]
        for each in history[:2]:
            updates = [noted_in(shared, name, each["number"]) for name in each["cohort"]]
            for score, update in zip(each["seated"]["scores"], updates, strict=True):
                total = np.sum(updates, axis=0)
                assert score["squared_norm"] == pytest.approx(rounded(update @ update))
                assert score["alignment"] == pytest.approx(rounded(update @ total))

    def test_an_upload_is_eight_bytes_a_parameter_and_the_seals(self, shared: Ended) -> None:
        """What seats expand does not travel."""
        assert 8.0 < shared.found["bytes_per_parameter_up"] <= 8.5

    def test_two_rounds_are_paid_by_scores_and_the_third_has_none(self, shared: Ended) -> None:
        """To hospitals alone; what nobody earns stays in the escrow."""
        paid = shared.found["settlement"]["payouts"]
        measured = [each["measured"] for each in shared.found["contributions"].values()]

        assert shared.found["settlement"]["method"] == "alignment/1"
        assert 2 * ESCROW // 3 - 7 <= sum(map(int, paid.values())) <= 2 * ESCROW // 3
        assert sorted(paid) == list(SITES)
        assert [each[2] for each in measured] == [None] * 4
        assert sum(each[0] for each in measured) == pytest.approx(1)

    def test_seats_are_processes_of_their_own_with_their_own_files(self, shared: Ended) -> None:
        """Each its configuration, its log, its certificate, its keys."""
        for name in SEATS:
            home = shared.state / name
            files = [home / "aggregator.toml", home / "certificate.pem", home / "keys"]
            assert [path for path in files if not path.exists()] == []
            assert not any(map(_others_may, files))
            assert events(shared.state / "logs" / f"{name}.log", "joined")

    def test_nothing_of_it_runs_afterwards(self, shared: Ended) -> None:
        """Neither a seat, nor what computes for it."""
        assert shared.left == {}


@pytest.mark.deep
@pytest.mark.timeout(300)
class TestTheWholeDemoUnderSharedNoise:
    """Claims about one run of twenty rounds."""

    def test_every_check_held(self, noised: Ended) -> None:
        """Sums, model, both epsilons, evidence, escrow."""
        assert [claim for claim, held in noised.found["checks"].items() if not held] == []
        assert (noised.status, noised.found["mechanism"]) == (0, "distributed")
        assert noised.found.keys() >= PROMISED

    def test_each_round_waits_for_the_noise_of_all_four(self, noised: Ended) -> None:
        """Also the one in which a hospital was killed, paid for and not sent: it came back."""
        second = noised.found["history"][1]
        (killed,) = (site for site in second["sites"] if site["killed_at"])

        assert noised.found["cohort_sizes"] == [4] * 20
        assert (killed["participant"], killed["contributed"]) == (SITES[3], True)
        assert killed["killed_at"] == "0 of 1 chunks sent"

    def test_what_was_killed_was_not_paid_for_twice(self, noised: Ended) -> None:
        """It sent what it had committed to before it died."""
        spent = noised.found["epsilon"]

        assert len(set(spent.values())) == 1
        assert 0.99 < spent[SITES[3]] <= 1.0

    def test_who_opens_one_update_sees_less_noise_and_the_report_says_so(
        self, noised: Ended
    ) -> None:
        """A third of its variance, hence another epsilon."""
        assert all(1.8 < each <= 2.0 for each in noised.found["vector_epsilon"].values())

    def test_each_bundle_is_verified_offline_and_the_report_is_there(self, noised: Ended) -> None:
        """By the command that the screen names, too."""
        found = noised.found["evidence"]
        folder = Path(found["folder"])

        again = subprocess.run(
            [sys.executable, "-P", "-m", *found["command"].split()],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )

        assert found["verdicts"] == dict.fromkeys(SITES, "ok")
        assert again.returncode == 0, again.stdout + again.stderr
        assert (folder / "report" / "report.pdf").read_bytes().startswith(b"%PDF")
        assert "verified" in (folder / "report" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.deep
class TestTheWholeDemoWithACheat:
    """Claims about one run whose coordinator alters one word of one sum."""

    def test_it_is_caught(self, cheated: Ended) -> None:
        """Found, proved, challenged, slashed; and the exit status says so."""
        assert [claim for claim, held in cheated.found["checks"].items() if not held] == []
        assert cheated.status == 0
        assert [each["status"] for each in cheated.found["acts"]] == [2, 0, 0]

    def test_the_proof_is_of_the_altered_sum_and_costs_what_is_promised(
        self, cheated: Ended
    ) -> None:
        """The lowest wrong node: its words are two contributions' own."""
        found = cheated.found

        assert found["proof"] == "bad_sum"
        assert "chunk 0, leaf 0: node 0 of level 1" in found["reason"]
        assert 0 < found["gas"]["challenge"] <= 330_000

    def test_the_coordinator_says_that_it_was_proved_wrong(self, cheated: Ended) -> None:
        """Its operator has to know; it is no other process than in any demo."""
        log = cheated.state / "logs" / "coordinator.log"

        assert [each["round"] for each in events(log, "round_settled")] == [1, 2, 3]

    def test_nothing_of_it_runs_afterwards(self, cheated: Ended) -> None:
        """Neither the cheating coordinator nor a command of the audit office."""
        assert cheated.left == {}


def noted_in(ended: Ended, name: str, number: int) -> Any:
    """The grid integers that a hospital has protected in a round."""
    return noted(Places(ended.state).witness(name), number, "update")


def rounded(steps: int) -> float:
    """In squared units of the model, to the step of the demo's plans."""
    step = 1 << SCORE_STEP_LOG2
    nearest = (int(steps) + step // 2) // step * step
    return float(nearest / 4**LOCAL.grid.fraction_bits)


def demo(state: Path | None, *words: str) -> Result:
    """Run the command in this process."""
    named = [] if state is None else ["--state", str(state)]
    return CliRunner().invoke(app, ["demo", "--json", *named, *words])


def test_a_scheme_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """Before anything is made."""
    ended = demo(tmp_path / "state", "--scheme", "plain")

    assert ended.exit_code == EXIT_CODES[ConfigError]
    assert "one of: ckks, shares" in json.loads(ended.stdout)["message"]
    assert not (tmp_path / "state").exists()


def test_a_cheat_is_refused_where_the_coordinator_adds_nothing(tmp_path: Path) -> None:
    """Under shares three seats do; the words say where the cheat is shown."""
    ended = demo(tmp_path / "state", "--scheme", "shares", "--cheat")

    assert ended.exit_code == EXIT_CODES[ConfigError]
    assert "--cheat is shown under ckks" in json.loads(ended.stdout)["message"]
    assert not (tmp_path / "state").exists()


def test_a_cheat_that_was_not_caught_is_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came of it is still printed."""
    monkeypatch.setattr(run, "_run_cheat", lambda *_: sample_caught(proof=""))

    ended = demo(tmp_path / "state", "--cheat")

    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["checks"]["the auditor proves the commit of round 3 false"] is (
        False
    )


def test_one_check_that_failed_is_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is still printed: somebody has to see what failed."""
    monkeypatch.setattr(run, "_run", lambda *_: sample(accuracy=0.5))

    ended = demo(tmp_path / "state")

    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["checks"]["accuracy is at least 0.90"] is False


def test_a_folder_with_files_is_not_written_to(tmp_path: Path) -> None:
    """It may be an earlier run's, with its keys."""
    (tmp_path / "something").touch()

    ended = demo(tmp_path)

    assert ended.exit_code == EXIT_CODES[ConfigError]
    assert "is not empty" in json.loads(ended.stdout)["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


@pytest.mark.parametrize("named", [False, True])
def test_a_demo_that_is_told_to_stop_removes_its_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """There are keys in it; a folder that its user has named is the user's."""

    def stopped(places: Any, *_: object) -> None:
        (places.root / "key").touch()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(run, "_run", stopped)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    state = tmp_path / "state" if named else None

    ended = demo(state)

    assert ended.exit_code == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == (["state"] if named else [])


@pytest.mark.slow
@pytest.mark.parametrize("to_the_group", [True, False], ids=["ctrl-c", "killed"])
def test_nothing_is_left_of_a_demo_that_is_cut_short(tmp_path: Path, to_the_group: bool) -> None:
    """Ctrl-C reaches every process; SIGKILL only the first, and the others must see it."""
    with _starting(tmp_path) as (process, living):
        wait_until(lambda: _has_workers(living()), 60)
        if to_the_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.kill()

        status = process.wait(60)

    assert status != 0


@contextmanager
def _starting(
    tmp_path: Path,
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], Mapping[int, str]]]]:
    mark = new_mark()
    # Tests that a shell has put in the background ignore SIGINT, and so would all they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*COMMAND, "--state", str(tmp_path / "state")],
        env={**os.environ, MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    try:
        yield process, lambda: alive(mark)
        left = left_after(mark, 5)
    finally:
        for straggler in alive(mark):
            os.kill(straggler, signal.SIGKILL)
        process.wait()
    assert left == {}


def _has_workers(living: Mapping[int, str]) -> bool:
    return any("multiprocessing.spawn" in command for command in living.values())


def _others_may(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
