"""The floors of the building: what may import what, and what each process must never load."""

import ast
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from privacy import errors
from tests.source_tree import ROOT, module_name, parsed, source_files

# What each process must not load, not even through others. A hospital's agent and the
# coordinator talk to strangers: the less they load, the less can be turned against them.
TRAINING = {"torch", "opacus", "crypten", "sklearn", "eth_tester", "tenseal"}
MUST_NOT_LOAD = {
    "coordinator.server": TRAINING | {"scipy", "web3"},
    "participant.agent": TRAINING,
    "privacy": TRAINING | {"grpc", "sqlalchemy", "web3"},
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base_utils"}


def loaded_by(statement: str) -> set[str]:
    """Names of the top-level packages that a fresh Python has after `statement`."""
    program = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_import_contracts_are_kept() -> None:
    """The floors and doors are written in pyproject.toml; import-linter holds them."""
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run(
        [linter, "--no-logo", "--no-cache"], check=False, cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


def test_importing_veilsum_loads_nothing_else() -> None:
    """`veilsum --help` answers at once only if the package itself is free."""
    before = loaded_by("pass")

    loaded = loaded_by("import veilsum") - before - set(sys.stdlib_module_names)

    assert loaded == {"veilsum"}


@pytest.mark.parametrize("module", sorted(m for m in MUST_NOT_LOAD if find_spec(m)))
def test_a_process_loads_only_what_it_needs(module: str) -> None:
    """Checked in a fresh Python, so that imports inside functions and of others count."""
    loaded = loaded_by(f"import {module}")

    assert loaded & MUST_NOT_LOAD[module] == set()


def test_no_module_of_the_coordinator_loads_training_libraries() -> None:
    """It adds limbs; every module of it runs where neither PyTorch nor TenSEAL is installed."""
    modules = [module_name(path) for path in source_files() if path.parts[0] == "coordinator"]

    loaded = loaded_by(f"import {', '.join(modules)}")

    assert loaded & TRAINING == set()


@pytest.mark.parametrize("path", source_files(), ids=str)
def test_neighbours_are_reached_by_relative_imports(path: Path) -> None:
    """A reader then sees from the first dot which imports leave the folder."""
    folder = ".".join(path.parent.parts)

    absolute = [
        node.module
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module
        if folder in (node.module, node.module.rpartition(".")[0])
    ]

    assert absolute == []


@pytest.mark.parametrize("path", source_files(), ids=str)
def test_no_file_is_named_after_nothing(path: Path) -> None:
    """A file that is named after no idea collects all of them."""
    assert path.stem not in VAGUE


def every_error() -> list[type[errors.VeilsumError]]:
    """The root of the tree and all below it."""
    found: list[type[errors.VeilsumError]] = [errors.VeilsumError]
    for known in found:
        found.extend(known.__subclasses__())
    return [error for error in found if error.__module__ == errors.__name__]


def test_every_error_has_a_code_of_its_own() -> None:
    """Peers and runbooks know an error by its code."""
    codes = [error.__dict__.get("code") for error in every_error()]

    assert None not in codes
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_the_drawn_tree_shows_every_error(error: type[errors.VeilsumError]) -> None:
    """The tree at the top of the file is what people read."""
    assert error.__name__ in str(errors.__doc__)


def test_errors_are_defined_in_one_place() -> None:
    """A private error of some module would have no code and no runbook."""
    named = {error.__name__ for error in every_error()}

    elsewhere = [
        f"{path}: {node.name}"
        for path in source_files()
        if path.as_posix() != "privacy/errors.py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in named for base in node.bases)
    ]

    assert elsewhere == []
