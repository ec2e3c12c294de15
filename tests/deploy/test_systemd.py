"""Units for hospitals and operators: systemd reads them, and they may do next to nothing."""

import re
import subprocess

import pytest

from tests.deploy.files import DEPLOY, UNITS, settings_of
from tests.missing_tools import require_tool
from veilsum.process import EXIT_CODES

MOST_EXPOSED = 2.0
"""systemd's own measure, from 0 to 10; a unit without a word about it has 9.6."""


@pytest.fixture
def analyze():
    return require_tool("systemd-analyze", "systemd")


@pytest.fixture
def installed(tmp_path):
    """The units as on a machine where the command is installed."""
    command = tmp_path / "veilsum"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for unit in UNITS:
        text = unit.read_text().replace("/opt/veilsum/bin/veilsum", str(command))
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_systemd_finds_nothing_to_say(analyze, installed) -> None:
    """It warns of what it does not know, and would ignore."""
    units = sorted(installed.glob("*.service"))

    done = subprocess.run(
        [analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_find_a_misspelt_setting(analyze, installed) -> None:
    """What it ignores protects nobody."""
    unit = installed / "veilsum-auditor.service"
    unit.write_text(unit.read_text().replace("ProtectSystem", "ProtectSytem"))

    done = subprocess.run(
        [analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )

    assert "ProtectSytem" in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_little_is_exposed(analyze, unit) -> None:
    """By systemd's own measure of what a unit may still do."""
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--no-pager", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    exposure = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)

    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_what_a_new_start_does_not_mend_is_not_started_again(unit) -> None:
    """Above all a broken promise: nothing may run on before somebody has looked."""
    settings = settings_of(unit)
    kept_down = set(map(int, settings["RestartPreventExitStatus"][-1].split()))
    named = {kind.__name__: status for kind, status in EXIT_CODES.items()}

    assert settings["Restart"] == ["on-failure"]
    assert kept_down >= {
        named["InvariantBroken"], named["ConfigError"], named["PrivacyError"],
    }  # fmt: skip
    assert named["Unavailable"] not in kept_down
    assert named["ProtocolError"] not in kept_down


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_all_units_may_write_the_state_alone(unit) -> None:
    """Under an account that is not root's and has no shell."""
    settings = settings_of(unit)

    assert settings["User"] == ["veilsum"]
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["NoNewPrivileges"] == ["yes"]
    assert settings["StateDirectory"] == ["veilsum"]
    assert "ReadWritePaths" not in settings
    assert "u veilsum " in (DEPLOY / "systemd" / "veilsum.sysusers.conf").read_text()


def test_there_is_a_unit_for_each_kind_of_member() -> None:
    """Each by the word of its command."""
    assert {unit.stem.removeprefix("veilsum-") for unit in UNITS} == {
        *("aggregator", "auditor", "coordinator", "participant"),
    }


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_without_its_file_fails(unit) -> None:
    """A condition that does not hold is no failure: `systemctl start` would say nothing at all."""
    (asserted,) = settings_of(unit)["AssertPathExists"]

    assert f"--config {asserted}\n" in unit.read_text()
