"""The images: linted, without a privilege, and the coordinator's without what could open anything.

No container engine builds them here; what their instructions install and start is run as it is.
"""

import re
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.deploy.files import IMAGES, OURS, instructions, last, words
from tests.missing_tools import missing
from tests.source_tree import ROOT

COORDINATOR = ROOT / "deploy" / "images" / "coordinator.Dockerfile"
MEMBER = COORDINATOR.with_name("member.Dockerfile")
FORBIDDEN = ("torch", "tenseal", "crypten", "opacus")


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(image) -> None:
    """Of any severity."""
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, image], capture_output=True, text=True, check=False)

    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_the_linter_would_find_something(tmp_path) -> None:
    """A linter that passes everything says nothing about ours."""
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN pip install veilsum\n")
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, bad], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "DL3007" in done.stdout


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_nobody_runs_as_root(image) -> None:
    """By number: a cluster that refuses root cannot look up a name."""
    assert last(image, "USER") == "65532:65532"


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_what_is_installed_is_locked_by_hash(image) -> None:
    """The build resolves nothing: what was tested is what is in the image."""
    runs = [text for name, text in instructions(image) if name == "RUN"]
    installs = [part for run in runs for part in run.split("&&") if " install " in part]
    locked = [part for part in installs if "--requirement" in part]

    assert len(installs) > len(locked) >= 1
    assert all("--require-hashes" in part and "--no-deps" in part for part in locked)
    assert all("--no-deps" in part and "--no-build-isolation" in part for part in installs[-1:])


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_what_built_it_stays_behind(image) -> None:
    """The last stage runs no pip, and copies nothing from the machine that builds."""
    names = [name for name, _ in instructions(image)]
    final = instructions(image)[len(names) - 1 - names[::-1].index("FROM") :]

    assert names.count("FROM") == 2
    assert [text for name, text in final if name == "COPY"] == [
        "--from=build /opt/veilsum /opt/veilsum"
    ]
    assert not [text for name, text in final if name == "RUN" and "pip" in text]


def test_nothing_is_sent_to_a_build_that_is_not_named() -> None:
    """A key or a ledger in the tree of whoever builds must not end in a layer."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {
        word
        for image in IMAGES
        for name, text in instructions(image)
        if name == "COPY" and "--from" not in text
        for word in shlex.split(text)[:-1]
    }

    assert rules[0] == "*"
    assert {re.split(r"/", rule[1:])[0] for rule in rules if rule.startswith("!")} == copied


def test_a_coordinator_is_asked_whether_it_lives() -> None:
    """By the module that the image has; the address is where the deployments let it answer."""
    assert words(COORDINATOR, "HEALTHCHECK") == [
        *("python", "-m", "veilsum.health"),
        "127.0.0.1:8081",
    ]


def test_every_image_that_is_started_has_its_file() -> None:
    """Compose builds them by name."""
    assert {path.name.partition(".")[0] for path in IMAGES} == set(OURS.values())


def installed(folder, image, **arguments):
    """Carry out a Dockerfile's installations in a folder; return its Python."""
    home = folder / "veilsum"
    venv.create(home, with_pip=False)
    said = [text.partition("=") for name, text in instructions(image) if name == "ARG"]
    given = {name: value for name, sign, value in said if sign} | arguments
    for text in [text for name, text in instructions(image) if name == "RUN"]:
        for step in text.split("&&"):
            run = step.replace("/opt/veilsum", str(home))
            for name, value in given.items():
                run = run.replace(f"${{{name}}}", value)
            if run.split()[0] == "pip":
                carry_out([sys.executable, "-m", *shlex.split(run)])
    return home / "bin" / "python"


def carry_out(command):
    """Run pip; where no index can be reached, this is no test."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "Could not find a version" in done.stderr:
        missing("no package index can be reached: pip needs one, or wheels by PIP_FIND_LINKS")
    assert done.returncode == 0, done.stderr


def there(python, names, *loaded):
    """Load modules by that Python; return which of the names it could load as well."""
    code = f"import importlib.util, {', '.join(loaded)}\n"
    code += f"print(*[name for name in {names} if importlib.util.find_spec(name)])"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=python.parent, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.deep
def test_the_coordinators_image_has_nothing_that_could_open_an_update(tmp_path) -> None:
    """Its own instructions, in a folder: then a coordinator and an auditor can be loaded."""
    python = installed(tmp_path, COORDINATOR)

    found = there(
        python,
        FORBIDDEN,
        *("coordinator.server", "coordinator.adapters.sql.postgres", "veilsum.health"),
        *("coordinator.adapters.objects.s3", "participant.auditing.run"),
    )

    assert found == set()
    assert subprocess.run([python.with_name("veilsum"), "version"], check=True).returncode == 0


@pytest.mark.deep
@pytest.mark.parametrize(
    ("image", "lock", "loaded", "found"),
    [
        (COORDINATOR, "settlement", ("coordinator.server", "coordinator.adapters.chain"), set()),
        (MEMBER, "participant", ("participant.run", "participant.training.train",
         "privacy.schemes.ckks"), {"torch", "tenseal", "opacus"}),
        (MEMBER, "seat", ("participant.seat.run", "privacy.crypten_door"), {"torch", "crypten"}),
    ],
)  # fmt: skip
def test_each_image_has_what_it_runs_and_no_more(tmp_path, image, lock, loaded, found) -> None:
    """Their own instructions, in a folder; half a gigabyte each, hence not in every run."""
    python = installed(tmp_path, image, LOCK=lock)

    assert there(python, FORBIDDEN, *loaded) == found
    if "crypten" in found:
        door = "from privacy.crypten_door import import_crypten; import_crypten()"
        subprocess.run([python, "-c", door], check=True, cwd=tmp_path)
