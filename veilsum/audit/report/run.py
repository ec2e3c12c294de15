"""From files, or a state folder, to a report in a folder."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from privacy.configuration import NOTHING, Over, decode
from privacy.errors import ConfigError
from privacy.evidence.limits import AuditPolicy
from privacy.evidence.trust import Keys
from veilsum.audit.export import export
from veilsum.audit.verdict import read_bundle_file
from veilsum.files import read_file

from .contents import Report
from .gather import report_of
from .write import write_report


def run(
    bundles: Sequence[Path],
    state: Path | None,
    config: Path | None,
    *,
    wanted: str,
    policy: Path | None,
    keys: Path | None,
    out: Path,
    clock: Callable[[], float],
    over: Over = NOTHING,
) -> tuple[Report, tuple[Path, ...]]:
    """Write the report on the release that is wanted, and return it with the paths of its files.

    Args:
        bundles: files; beside them `state` is exported, if it is named.
        clock: seconds since 1970.
        over: what goes over the settings of `state`.

    Raises:
        ConfigError: a file cannot be read, there is no evidence, or no such release in it.
    """
    texts = [read_bundle_file(path) for path in bundles]
    if state is not None:
        texts.append(export(state, clock, config, over=over))
    if not texts:
        raise ConfigError("name a bundle, or a state folder with --state")
    asked = None if policy is None else _text(policy)
    report = report_of(
        texts,
        wanted=wanted,
        policy=None if asked is None else decode(asked, AuditPolicy, str(policy)),
        policy_sha256="" if asked is None else hashlib.sha256(asked.encode()).hexdigest(),
        keys=None if keys is None else decode(_text(keys), Keys, str(keys)),
        now=datetime.fromtimestamp(clock(), UTC),
    )
    return report, write_report(report, out)


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not text in UTF-8") from None
