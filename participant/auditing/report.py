"""An auditor's reports: what was found of each round, signed, and kept for good."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.errors import ConfigError, InvalidSignature
from privacy.learned import learned
from privacy.records import AuditReport, DisputeReport, Fault
from privacy.schemes.shares.layout import COMPONENTS
from privacy.signing import Purpose, public_bytes, sign, verify
from veilsum.files import disk_errors, make_folder, read_file, write_durably

DISPUTES: Final = "disputes"
"""Where reports of disputes are, in an auditor's state folder."""


class SignedReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report with the Ed25519 signature of its auditor, as it is kept: canonical JSON."""

    report: AuditReport
    signature: bytes


@dataclass(frozen=True)
class Reports:
    """The reports in an auditor's state folder; none is ever overwritten by another finding."""

    folder: Path
    key: Ed25519PrivateKey = field(repr=False)

    def start(self) -> None:
        """Make the folder, so that an auditor without one does not begin to work.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        make_folder(self.folder)

    def signed(self, report: AuditReport) -> SignedReport:
        """Return a report with this auditor's signature."""
        return SignedReport(report, sign(self.key, Purpose.AUDIT_REPORT, canonical.encode(report)))

    def keep(self, report: AuditReport) -> Path:
        """Write a report durably, and return where; the same finding is kept once.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        make_folder(self.folder)
        paths = self._paths(report.round)
        for path in paths:
            if _finding(self._read(path).report) == _finding(report):
                return path
        path = self._path(report.round, len(paths))
        write_durably(path, canonical.encode(self.signed(report)))
        return path

    def of(self, number: int) -> tuple[SignedReport, ...]:
        """Return all reports of a round, the first found first.

        A false sum is proven first and located then: of the two, what was located.

        Raises:
            ConfigError: a file is not a report that this auditor has signed.
            StoreUnavailable: the disk refuses.
        """
        found = [self._read(path) for path in self._paths(number)]
        located = {each.report.manifest for each in found if _is_located(each.report)}
        return tuple(
            each
            for each in found
            if _is_located(each.report)
            or each.report.fault is None
            or each.report.manifest not in located
        )

    def false_sum(self, number: int) -> AuditReport | None:
        """Return what was found wrong with a round's contributions or sum, if something was."""
        found = (each.report for each in self.of(number) if each.report.fault is not None)
        return next(found, None)

    def _paths(self, number: int) -> list[Path]:
        paths: list[Path] = []
        with disk_errors(self.folder):
            while (path := self._path(number, len(paths))).exists():
                paths.append(path)
        return paths

    def _path(self, number: int, at: int) -> Path:
        return self.folder / (f"{number:06}-{at + 1}.json" if at else f"{number:06}.json")

    def _read(self, path: Path) -> SignedReport:
        return read(path, public_bytes(self.key))


class SignedDispute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The report of a dispute with the Ed25519 signature of its auditor; canonical JSON."""

    report: DisputeReport
    signature: bytes


@dataclass(frozen=True)
class DisputeReports:
    """How an auditor has settled disputes; of one component of a round once, and for good."""

    folder: Path
    key: Ed25519PrivateKey = field(repr=False)

    def keep(self, report: DisputeReport) -> DisputeReport:
        """Write a report durably; return the one that counts, which is the first.

        Raises:
            StoreUnavailable: the disk refuses.
            ConfigError: as for `of`.
        """
        path = self._path(report.round, report.component)
        known = self.about(report.round, report.component)
        if known is not None:
            return known
        make_folder(self.folder)
        signature = sign(self.key, Purpose.DISPUTE_REPORT, canonical.encode(report))
        write_durably(path, canonical.encode(SignedDispute(report, signature)))
        return report

    def about(self, number: int, component: int) -> DisputeReport | None:
        """Return what was found about one component of a round, if something was; as `of`."""
        path = self._path(number, component)
        with disk_errors(path):
            there = path.exists()
        return self._read(path).report if there else None

    def of(self, number: int) -> tuple[SignedDispute, ...]:
        """Return all reports of a round, those that prove a lie first.

        Raises:
            ConfigError: a file is not a report that this auditor has signed.
            StoreUnavailable: the disk refuses.
        """
        paths = [self._path(number, component) for component in range(COMPONENTS)]
        with disk_errors(self.folder):
            there = [path for path in paths if path.exists()]
        return tuple(sorted(map(self._read, there), key=lambda each: not each.report.liars))

    def _path(self, number: int, component: int) -> Path:
        return self.folder / f"{number:06}-component-{component}.json"

    def _read(self, path: Path) -> SignedDispute:
        return read_dispute(path, public_bytes(self.key))


def read(path: Path, key: bytes) -> SignedReport:
    """Return the report in a file, signed under an auditor's public key.

    Raises:
        ConfigError: it is not a report that this auditor has signed.
    """
    try:
        signed = msgspec.json.decode(read_file(path), type=learned(SignedReport))
        verify(key, Purpose.AUDIT_REPORT, canonical.encode(signed.report), signed.signature)
    except (msgspec.MsgspecError, InvalidSignature):
        raise ConfigError(f"{path}: not a report that this auditor has signed") from None
    return signed


def read_dispute(path: Path, key: bytes) -> SignedDispute:
    """Return the report of a dispute in a file, signed under an auditor's public key.

    Raises:
        ConfigError: it is not a report that this auditor has signed.
    """
    try:
        signed = msgspec.json.decode(read_file(path), type=learned(SignedDispute))
        verify(key, Purpose.DISPUTE_REPORT, canonical.encode(signed.report), signed.signature)
    except (msgspec.MsgspecError, InvalidSignature):
        raise ConfigError(f"{path}: not a report that this auditor has signed") from None
    return signed


def words_of(fault: Fault) -> str:
    """Return where a fault is, in words."""
    whose = f"of {fault.participant}'s contribution" if fault.participant else "of the sum"
    if fault.chunk is None:
        return f"one of the chunks {whose}"
    if fault.word is None:
        return f"chunk {fault.chunk} {whose}"
    return (
        f"chunk {fault.chunk} {whose}, ciphertext {fault.ciphertext}, polynomial "
        f"{fault.polynomial}, modulus {fault.modulus}, word {fault.word}: {fault.found}, where the "
        f"contributions add up to {fault.expected}"
    )


def _is_located(report: AuditReport) -> bool:
    return report.fault is not None and report.fault != Fault(participant="")


def _finding(report: AuditReport) -> AuditReport:
    # What was found; how long it took is no finding.
    return msgspec.structs.replace(report, seconds="0")
