"""Each of these changes to the contracts is noticed by forge's tests of them.

A mutant is a defect that a reader could overlook; contracts/mutants.toml lists them. It is
made in a copy, never here: of what was compiled once, so that only the mutated file is compiled.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.missing_tools import missing

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]

CONTRACTS = Path(__file__).parents[2] / "contracts"
SETTLING = "test/{Settlement,Dispute,StakeVault,ModelRegistry,HostileTokens,invariant/*}*.t.sol"
JUDGING = "test/{SumVerifier,Lanes}.t.sol"


@dataclass(frozen=True)
class Mutant:
    """In `source`, `old`, which stands there once, becomes `new`."""

    name: str
    source: str
    old: str
    new: str

    @property
    def tests(self) -> str:
        return JUDGING if self.source in {"SumVerifier", "Lanes"} else SETTLING


MUTANTS = [
    Mutant(**each) for each in tomllib.loads((CONTRACTS / "mutants.toml").read_text())["mutant"]
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contracts as they are, compiled, and their tests, which all pass."""
    copy = copied(CONTRACTS, tmp_path_factory.mktemp("compiled"))
    built = forge(copy, "build")
    assert built.returncode == 0, built.stdout + built.stderr
    for tests in (SETTLING, JUDGING):
        done = forge(copy, "test", "--match-path", tests)
        assert done.returncode == 0, done.stdout
    return copy


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: f"{each.source}-{each.name}")
def test_a_defect_is_noticed(mutant: Mutant, compiled: Path, tmp_path: Path) -> None:
    """Some test fails, and it is a test that fails: what does not compile proves nothing."""
    copy = copied(compiled, tmp_path)
    source = copy / "src" / f"{mutant.source}.sol"
    text = source.read_text()
    assert text.count(mutant.old) == 1
    source.write_text(text.replace(mutant.old, mutant.new))

    built = forge(copy, "build")
    done = forge(copy, "test", "--fail-fast", "--match-path", mutant.tests)

    assert built.returncode == 0, built.stdout + built.stderr
    assert done.returncode != 0, "survives"
    assert "[FAIL" in done.stdout


def copied(contracts: Path, folder: Path) -> Path:
    """The contracts in a folder of their own, with what was compiled; libraries by a link."""
    copy = folder / "contracts"
    unneeded = shutil.ignore_patterns("node_modules", ".audit", "coverage*")
    shutil.copytree(contracts, copy, ignore=unneeded)
    (copy / "node_modules").symlink_to(CONTRACTS / "node_modules")
    return copy


def forge(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run forge in `folder`; the test is skipped where there is none."""
    binary = CONTRACTS / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"
    if not binary.is_file():
        missing("needs forge (npm @foundry-rs/forge; `make contracts-tools`)")
    search = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    return subprocess.run(
        [binary, *arguments],
        cwd=folder,
        env={**os.environ, "PATH": search, "FOUNDRY_DENY": "never", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
