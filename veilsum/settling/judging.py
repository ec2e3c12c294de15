"""Where a judge's files come from, and what `veilsum settle judge` says of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from participant.auditing.accusing import Written
from participant.joining.versions import kept_versions
from participant.kept import FOLDER, Kept
from participant.settling.court import Court, Judged
from privacy import canonical
from privacy.errors import ConfigError
from privacy.roster import Roster
from privacy.settlement import verdict as verdicts
from privacy.settlement.verdict import Accused, Evidence, SignedVerdict
from veilsum.chain.endpoint import signer_of
from veilsum.files import read_file, write_durably

from .place import Place

_LARGEST_VERDICT: Final = 1 << 12


class Examined(msgspec.Struct, frozen=True):
    """What a judge has before it: whom evidence is against, what that one can lose, until when.

    Attributes:
        auditor: on whose word the seat is said to have lied.
        stake: what the account has in the vault, in token units.
        written: the file with this judge's verdict, if it was asked for.
    """

    round: int
    seat: str
    account: str
    auditor: str
    reason: str
    stake: str
    matures_at: int
    evidence: str
    written: str = ""


def read_evidence(path: Path) -> Evidence:
    """Return the evidence in a file.

    Raises:
        ConfigError: the file cannot be read.
        MalformedMessage: it is no evidence.
    """
    return verdicts.decode(read_file(path).strip())


def read_verdict(path: Path) -> SignedVerdict:
    """Return one judge's verdict in a file; raises as `read_evidence`."""
    return canonical.decode(read_file(path).strip()[:_LARGEST_VERDICT], SignedVerdict)


def court_of(place: Place) -> Court:
    """Return the key and the programme of settings.

    Raises:
        ConfigError, InsecureKeyFile: a file of the key is not what it must be.
        WrongContext, ChainUnavailable: as for `Place.on_chain`.
    """
    return Court(place.on_chain(), signer_of(place.access), place.journal())


def roster_for(place: Place, evidence: Evidence) -> Roster:
    """Return the version of the roster that evidence names, as this member's disk has it.

    Raises:
        ConfigError: it has not; judges know who signs from their own membership, never from
            the evidence.
        WrongContext, MalformedMessage: the evidence names none.
    """
    named = verdicts.roster_of(evidence)
    for roster in kept_versions(Kept(place.state / FOLDER)):
        if roster.digest() == named:
            return roster
    raise ConfigError(
        f"{place.state / FOLDER}: roster {named[:16]}… of the evidence is not among those that "
        "this member has seen; judge with the file of a member whose agent has run, and run it once"
    )


def examined(court: Court, accused: Accused, evidence: Evidence, written: str = "") -> Examined:
    """Return what there is to say of evidence that holds."""
    stake = court.programme.stake_of(accused.account)
    round_ = court.programme.round(accused.round)
    return Examined(
        round=accused.round,
        seat=accused.seat,
        account=accused.account,
        auditor=evidence.report.auditor,
        reason=evidence.report.reason,
        stake=str(stake.bonded + stake.thawing),
        matures_at=round_.matures_at if round_ else 0,
        evidence=accused.evidence.hex(),
        written=written,
    )


def write_verdict(path: Path, verdict: SignedVerdict) -> None:
    """Write one judge's verdict, durably.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    write_durably(path, canonical.encode(verdict) + b"\n")


def of_examined(found: Examined) -> str:
    """Return in lines what a judge has before it."""
    until = datetime.fromtimestamp(found.matures_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        f"round {found.round}: {found.seat} lied, says {found.auditor}",
        f"report     {found.reason}",
        f"account    {found.account}, {found.stake} token units to lose",
        f"until      {until}",
        f"evidence   {found.evidence}",
    ]
    lines.append(
        f"signed     {found.written}"
        if found.written
        else "Nothing is signed. Ask the auditor, then run this again with --out."
    )
    return "\n".join(lines)


def of_judged(done: Judged) -> str:
    """Return what a verdict has come to."""
    return "\n".join(
        (
            f"round {done.round} and all later ones are void; the programme is halted",
            f"verdict    of {done.judges} judges against {done.accused}",
            f"slashed    {done.slashed} token units, all burned",
            f"sent as    {done.transaction}, gas {done.gas}",
        )
    )


def of_written(found: Sequence[Written]) -> str:
    """Return where evidence is, a line for each seat that lied."""
    return "\n".join(
        f"{each.seat}: {each.path}, against {each.account}"
        if each.path
        else f"{each.seat}: it has pledged nothing, so that no account answers for it"
        for each in found
    )
