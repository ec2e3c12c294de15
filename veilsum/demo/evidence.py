"""What a compliance officer does after the demo: bundles, their verdicts, and the report."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from participant.config import read
from privacy.evidence.limits import AuditPolicy
from privacy.evidence.verify import Verdict
from veilsum.audit.export import export
from veilsum.audit.report.run import run
from veilsum.audit.trusted import keys_text
from veilsum.audit.verdict import verify_files
from veilsum.federation.founding import write_settings
from veilsum.files import make_folder, write_durably

from .federation import HOSPITALS, SMALLEST_COHORT, Places
from .report import Evidence

FOLDER = "evidence"
"""Where bundles and report are, beside the demo's other files."""


def evidence(places: Places) -> Evidence:
    """Export every hospital's bundle, verify each beside the others, and write one report.

    Raises:
        ConfigError: a state folder is not as a finished run leaves it.
    """
    folder = places.root / FOLDER
    make_folder(folder)
    bundles = [_export(places, name, folder) for name in HOSPITALS]
    policy, keys = _policy(places, folder), _keys(places, folder)
    verdicts = [_verify(bundle, bundles, policy, keys) for bundle in bundles]
    pairs = zip(HOSPITALS, verdicts, strict=True)
    words = {name: each.outcome.name.lower() for name, each in pairs}
    place = folder / "report"
    _, files = run(
        bundles, None, None, wanted="", policy=policy, keys=keys, out=place, clock=time.time
    )
    shown = f"veilsum audit verify {bundles[0].name} --keys {keys.name} --policy {policy.name}"
    return Evidence(words, str(folder), shown, tuple(str(f.relative_to(folder)) for f in files))


def _export(places: Places, name: str, folder: Path) -> Path:
    path = folder / f"{name}.evidence"
    write_durably(path, export(places.site(name), time.time))
    return path


def _verify(bundle: Path, bundles: Sequence[Path], policy: Path, keys: Path) -> Verdict:
    return verify_files(bundle, policy, keys, [each for each in bundles if each != bundle])


def _policy(places: Places, folder: Path) -> Path:
    """Write what the officer allows: here what the first hospital's own policy does."""
    own = read(places.site(next(iter(HOSPITALS))) / "site.toml").policy
    allowed = AuditPolicy(
        delta=own.delta,
        epsilon_for_life=own.epsilon_for_life,
        vector_epsilon_for_life=own.vector_epsilon_for_life,
        unit=own.unit,
        neighbouring=own.neighbouring,
        mechanisms=tuple(own.mechanisms),
        smallest_cohort=SMALLEST_COHORT,
    )
    settings = {key: value for key, value in msgspec.to_builtins(allowed).items() if value}
    return write_settings(folder / "policy.toml", settings)


def _keys(places: Places, folder: Path) -> Path:
    path = folder / "keys.toml"
    write_durably(path, keys_text(places.site(next(iter(HOSPITALS))) / "site.toml").encode())
    return path
