"""What is installed: locked, hashed, from nowhere in particular, and no more than needed."""

import re
from importlib.util import find_spec

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.source_tree import PACKAGES, ROOT, pyproject

LOCKS = ("coordinator", "lock", "participant", "seat", "settlement", "torch")
PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)$"
)
HEAVY = {"tenseal", "torch", "opacus", "crypten", "scipy", "scikit-learn", "web3", "eth-tester"}
FOR_ONE_MACHINE = {"eth-tester", "py-evm", "scikit-learn", "pytest", "crypten"}


def lines(lock: str) -> list[str]:
    """A lock file's requirements, one line each."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    joined = re.sub(r" \\\n +", " ", text)
    return [line for line in joined.splitlines() if not line.lstrip().startswith("#")]


def locked(lock: str) -> dict[str, str]:
    """Version by name."""
    found = [PINNED.match(line) for line in lines(lock)]
    return {canonicalize_name(m["name"]): m["version"] for m in found if m}


def declared() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for: by extra, and `core` without one."""
    project = pyproject()["project"]
    asked = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(line) for line in words] for extra, words in asked.items()}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_one_version_with_its_hashes(lock: str) -> None:
    """So it holds no URL, no host and no index: any mirror will do, and none can cheat."""
    assert [line for line in lines(lock) if not PINNED.match(line)] == []


@pytest.mark.parametrize("part", ["coordinator", "participant", "seat", "settlement"])
def test_smaller_locks_are_parts_of_the_whole(part: str) -> None:
    """One resolution: what is tested is what is deployed."""
    assert set(lines(part)) <= set(lines("lock"))


def test_all_that_is_declared_is_locked_within_its_bounds() -> None:
    """A bound that the lock file does not meet is a bound that nobody tested."""
    versions = locked("lock") | locked("torch")
    wanted = [word for words in declared().values() for word in words if word.name != "veilsum"]

    broken = [
        str(word)
        for word in wanted
        if not word.specifier.contains(versions.get(canonicalize_name(word.name), "0"), True)
    ]

    assert broken == []


def test_the_build_backend_is_locked() -> None:
    """Without build isolation, the backend comes from the lock file too."""
    asked = pyproject()["build-system"]["requires"] + pyproject()["dependency-groups"]["build"]
    names = {canonicalize_name(Requirement(line).name) for line in asked}

    assert names <= locked("coordinator").keys()


def test_a_coordinator_needs_no_heavy_library() -> None:
    """It cannot open anything, and has nothing installed that could."""
    assert locked("coordinator").keys() & HEAVY == set()


def test_a_hospital_installs_nothing_made_for_one_machine() -> None:
    """The embedded chain and the public data belong to the demo."""
    assert locked("participant").keys() & FOR_ONE_MACHINE == set()


def test_the_embedded_chain_is_in_the_demo_alone() -> None:
    """A chain that forgets everything at exit must not come with `veilsum[chain]`."""
    extras = [extra for extra, words in declared().items() for w in words if w.name == "eth-tester"]

    assert extras == ["demo"]


def test_nothing_excluded_is_locked() -> None:
    """Dead dependencies stay dead."""
    text = (ROOT / "requirements" / "excludes.txt").read_text()
    excluded = {line for line in text.splitlines() if line and not line.startswith("#")}

    assert locked("lock").keys() & excluded == set()


def test_torch_is_the_cpu_build_for_both_machines() -> None:
    """One wheel for x86_64, one for aarch64."""
    (line,) = lines("torch")

    assert line.startswith("torch==2.13.0+cpu ")
    assert line.count("--hash=") == 2


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_ship_their_types(package: str) -> None:
    """A site's own code is checked against ours."""
    assert package in pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert (ROOT / package / "py.typed").is_file()


def test_the_command_exists() -> None:
    """The console script points at a function that is there."""
    module, _, function = pyproject()["project"]["scripts"]["veilsum"].partition(":")

    assert find_spec(module)
    assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_the_words_of_make_are_explained() -> None:
    """A contributor reads CONTRIBUTING.md, not the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE)
    text = (ROOT / "CONTRIBUTING.md").read_text()

    assert [target for target in targets if f"`make {target}`" not in text] == []
