"""What the files below deploy/ say: their words, their commands, their names."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.source_tree import ROOT

DEPLOY = ROOT / "deploy"
IMAGES = sorted(DEPLOY.glob("images/*.Dockerfile"))
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
COMPOSE = DEPLOY / "compose" / "compose.yaml"
MANIFESTS = sorted(DEPLOY.glob("kubernetes/**/*.yaml"))
OVERLAYS = sorted(path.parent for path in DEPLOY.glob("kubernetes/overlays/*/kustomization.yaml"))
OURS = {"veilsum-coordinator": "coordinator", "veilsum-site": "member"}
"""Images of ours that compose names, and the Dockerfile that makes each."""


def composed() -> dict[str, Any]:
    """Return the compose file, its anchors resolved."""
    return yaml.safe_load(COMPOSE.read_text())


def our_services() -> dict[str, dict[str, Any]]:
    """Return the services of compose that run `veilsum`, by name."""
    services = composed()["services"].items()
    return {
        name: service
        for name, service in services
        if service["image"] in OURS and "entrypoint" not in service
    }


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def instructions(image: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, one line each."""
    text = re.sub(r"\\\n\s*", " ", image.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(None, 1)[1]) for line in lines]


def last(image: Path, instruction: str) -> str:
    """Return what the last instruction of that name says: the one that counts."""
    return [text for name, text in instructions(image) if name == instruction][-1]


def words(image: Path, instruction: str) -> list[str]:
    """Return the words of an instruction in its form as a list."""
    return json.loads("[" + last(image, instruction).partition("[")[2])


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Return a unit's settings, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def started_by(unit: Path) -> list[str]:
    """Return the words of a unit's command, beginning with `veilsum`."""
    path, *rest = shlex.split(settings_of(unit)["ExecStart"][-1])
    return [Path(path).name, *rest]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield where each command of ours is written, and its words after `veilsum`."""
    for image in IMAGES:
        yield image.name, words(image, "CMD")
    for name, service in our_services().items():
        yield f"compose {name}", service["command"]
    for unit in UNITS:
        yield unit.name, started_by(unit)[1:]
    for manifest in MANIFESTS:
        for document in documents(manifest):
            for container in containers(document):
                if "args" in container:
                    yield manifest.name, container["args"]


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a workload; none of anything else."""
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def metric_names(text: str) -> set[str]:
    """Return the names of our metrics in a text, without what a histogram adds to them."""
    found = re.findall(r"\bveilsum_[a-z_]+", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}
