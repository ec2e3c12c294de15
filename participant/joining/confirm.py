"""Confirm the roster: what is shown to a person, who compares it by telephone. Decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from privacy.errors import NotYet, WrongContext, WrongIdentity
from privacy.identifiers import Digest, sha256_hex
from privacy.organisation import shown as seen
from privacy.roster import (
    Member,
    Roster,
    SignedRoster,
    admit_all,
    check_first,
    is_founded,
    organisations_of,
)
from privacy.words import ROSTER_WORDS, words_of

from .own import check_entry

_SHOWN: Final = 16


@dataclass(frozen=True)
class Line:
    """One member, as a person compares it.

    Attributes:
        keys: the first 16 hexadecimal digits of the SHA-256 over both of its public keys.
        payout_address: to which it is paid; "" where it is not.
        signed: whether it has signed version 0; None for who came later.
    """

    participant: str
    organisation: str
    roles: tuple[str, ...]
    keys: str
    signed: bool | None
    payout_address: str = ""


@dataclass(frozen=True)
class Shown:
    """A roster for a person to compare.

    Attributes:
        fingerprint: of version 0, 64 hexadecimal digits; later versions hang on it.
        version: the newest that members have admitted; whose members are shown.
        founded: whether every founding member has signed.
        included: whether this member is in that version.
        organisations: of how many its trainers are.
        coordinator_key: the first 16 hexadecimal digits of the coordinator's signing key.
    """

    federation: str
    fingerprint: Digest
    version: int
    founded: bool
    included: bool
    members: tuple[Line, ...]
    organisations: int
    coordinator_key: str

    def words(self) -> str:
        """Return the fingerprint's eight words; slow."""
        return words_of(self.fingerprint, ROSTER_WORDS)


async def shown(
    coordinator: Coordinator,
    keys: SiteKeys,
    participant: str,
    federation: str,
    mine: Member | None,
) -> Shown:
    """Return the roster as the coordinator shows it, with every signature on it checked.

    It is the coordinator's word which version 0 this is, until people have compared it.

    Args:
        mine: this member's own entry, as it wrote it itself; version 0 must have the same.

    Raises:
        WrongContext: it is of another federation, begins with no version 0, or has another entry
            for this member.
        InvalidSignature: a later version lacks signatures of trainers.
        NotYet: there is none; the operator has not closed the founding.
    """
    history = await coordinator.roster()
    if not history:
        raise NotYet("the operator has not closed version 0 of the roster yet")
    first = history[0].roster
    if first.federation != federation:
        raise WrongContext(f"the coordinator shows a roster of {first.federation}")
    check_first(first)
    newest = _newest(history)
    included = _check_own(newest, keys, participant, mine)
    return Shown(
        federation,
        first.digest(),
        newest.version,
        is_founded(history[0]),
        included,
        tuple(_line(member, history[0]) for member in newest.members),
        len(organisations_of(newest.trainers())),
        first.coordinator_key.hex()[:_SHOWN],
    )


def line_of(member: Member) -> Line:
    """Return one member as a person compares it, outside of any version."""
    return Line(
        member.participant,
        member.organisation,
        tuple(str(role) for role in member.roles),
        key_fingerprint(member),
        None,
        member.payout_address,
    )


def table(members: Sequence[Line]) -> list[str]:
    """Return members as lines of a table for people; with payout addresses, where there are any."""
    rows = [("member", "organisation", "roles", "keys", "paid at")]
    rows += [
        (each.participant, seen(each.organisation), ", ".join(each.roles), each.keys, _paid(each))
        for each in members
    ]
    shown = 5 if any(each.payout_address for each in members) else 4
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([c.ljust(w) for c, w in zip(row, widths, strict=True)][:shown] for row in rows)
    return ["  " + "  ".join(cells).rstrip() for cells in padded]


def _paid(line: Line) -> str:
    return line.payout_address or "-"


def key_fingerprint(member: Member) -> str:
    """Return 16 hexadecimal digits that stand for a member's two public keys."""
    return sha256_hex(member.signing_key + member.sealing_key)[:_SHOWN]


def _newest(history: list[SignedRoster]) -> Roster:
    """Return the newest version; while it is being founded, version 0."""
    if is_founded(history[0]):
        return admit_all(history, history[0].roster.digest())[-1]
    if len(history) > 1:
        raise WrongContext("the coordinator shows versions of a roster that nobody has founded")
    return history[0].roster


def _check_own(roster: Roster, keys: SiteKeys, participant: str, mine: Member | None) -> bool:
    try:
        theirs = roster.member(participant)
    except WrongIdentity:
        return False
    if (theirs.signing_key, theirs.sealing_key) != (keys.signing_public, keys.sealing_public):
        raise WrongContext(f"the roster has other keys for {participant} than this site's own")
    if roster.version == 0 and mine is not None:
        check_entry(theirs, mine)  # later, members may have admitted other roles for it
    return True


def _line(member: Member, founding: SignedRoster) -> Line:
    names = {each.participant for each in founding.roster.members}
    found = line_of(member)
    signed = member.participant in founding.signatures if member.participant in names else None
    return replace(found, signed=signed)
