"""Verify a bundle from files, and say what it is worth: to people, or as one JSON object."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from privacy.configuration import decode
from privacy.errors import ConfigError
from privacy.events import DpEvent
from privacy.evidence.bundle import LARGEST_BUNDLE, Paid
from privacy.evidence.finding import Outcome
from privacy.evidence.limits import AuditPolicy
from privacy.evidence.spending import Spending
from privacy.evidence.trust import Keys
from privacy.evidence.verify import Mirror, Verdict, read_bundle, verify
from veilsum.files import read_at_most, read_file

_WORDS = {
    Outcome.OK: "verified",
    Outcome.POLICY: "policy breach",
    Outcome.TAMPERED: "tampered",
    Outcome.INCOMPLETE: "evidence missing",
    Outcome.ACCOUNTING: "accounting mismatch",
}


def verify_files(
    bundle: Path,
    policy: Path | None = None,
    keys: Path | None = None,
    others: Sequence[Path] = (),
    chain: str = "",
) -> Verdict:
    """Return what the bundle in a file is worth.

    No network is used unless `chain` is a URL.

    Raises:
        ConfigError: a file cannot be read, or is not what it must be.
    """
    text = read_bundle_file(bundle)
    return verify(
        text,
        None if policy is None else _settings(policy, AuditPolicy),
        None if keys is None else _settings(keys, Keys),
        [read_bundle_file(other) for other in others],
        _paid(chain, text) if chain else None,
        second_opinion,
    )


def read_bundle_file(path: Path) -> bytes:
    """Return the bytes of a bundle's file.

    Raises:
        ConfigError: it cannot be read, or is larger than any bundle.
    """
    return read_at_most(path, LARGEST_BUNDLE)


def second_opinion(events: Sequence[DpEvent], delta: float) -> None:
    """Ask the other accountants about `events` together.

    Raises:
        AccountingMismatch: they do not agree with ours, or have no answer.
        MissingDependency: they are not installed.
    """
    # It takes seconds to load, and is loaded only for a bundle that holds so far.
    from .second_opinion import check, opinions_of_all  # noqa: PLC0415

    check(opinions_of_all(events, delta))


def words_of(verdict: Verdict) -> str:
    """Return a verdict in lines for people, the most telling one first."""
    lines = [f"{_WORDS[verdict.outcome].upper()} (exit {int(verdict.outcome)})"]
    if verdict.evidence:
        lines.append(
            f"{verdict.evidence} {verdict.participant} of {verdict.federation}, made "
            f"{verdict.made}: {verdict.rows} rows, {verdict.documents} documents"
        )
        lines.append(f"root {verdict.root}")
        lines.append(f"roster {verdict.roster or 'none: nobody is known'}")
    lines += [f"  {each.text()}" for each in verdict.findings]
    lines += [f"  not asked: {each}" for each in verdict.not_asked]
    if verdict.refused_today:
        count, first = len(verdict.refused_today), verdict.refused_today[0]
        lines.append(f"  accepted then, not by today's rules: {count} plans; {first}")
    for spending in verdict.datasets:
        lines += _spending(spending)
    if verdict.mirror:
        lines.append("the coordinator's mirror; each site's own ledger is authoritative:")
    return "\n".join([*lines, *map(_mirrored, verdict.mirror)])


def _spending(spending: Spending) -> list[str]:
    views = (("sums only", spending.sums), ("one opened update", spending.vector))
    return [
        f"dataset {spending.dataset} version {spending.version}, unit {spending.unit}, "
        f"{spending.neighbouring}, delta {spending.delta}: {spending.rounds} rounds, "
        f"{spending.released} released",
        *(
            f"  {name}: epsilon {view.committed} spent, {view.charged} with what is set aside"
            for name, view in views
        ),
    ]


def _mirrored(mirror: Mirror) -> str:
    return (
        f"  {mirror.participant}: {mirror.contributions} contributions, {mirror.counted} counted; "
        f"epsilon {mirror.epsilon_sums} (sums only), {mirror.epsilon_vector} (one opened update) "
        f"at delta {mirror.delta}"
    )


def json_of(verdict: Verdict) -> bytes:
    """Return a verdict as one JSON object."""
    whole: dict[str, Any] = {
        "exit": int(verdict.outcome),
        "verdict": _WORDS[verdict.outcome],
        "evidence": verdict.evidence,
        "federation": verdict.federation,
        "participant": verdict.participant,
        "made": verdict.made,
        "roster": verdict.roster,
        "not_asked": verdict.not_asked,
        "refused_today": verdict.refused_today,
        "rows": verdict.rows,
        "root": verdict.root,
        "documents": verdict.documents,
        "findings": [
            {"kind": each.outcome.name.lower(), "entry": each.entry, "message": each.message}
            for each in verdict.findings
        ],
        "datasets": verdict.datasets,
        "mirror": verdict.mirror,
    }
    return msgspec.json.format(msgspec.json.encode(whole))


def _paid(chain: str, text: bytes) -> Paid | None:
    from .paid import read_paid  # noqa: PLC0415 - the chain's packages, only where asked for

    read, _ = read_bundle(text)
    return None if read is None else read_paid(chain, read)


def _settings(path: Path, kind: type[Any]) -> Any:  # noqa: ANN401 - one of two kinds of settings
    try:
        return decode(read_file(path).decode(), kind, str(path))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not text") from None
