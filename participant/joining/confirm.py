"""Confirm the roster: what is shown to a person, who compares it by telephone. Decides nothing."""

from dataclasses import dataclass
from typing import Final

from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from privacy.errors import NotYet, WrongContext, WrongIdentity
from privacy.identifiers import Digest, sha256_hex
from privacy.roster import Member, Role, Roster, SignedRoster, admit_all, is_founded
from privacy.words import words_of

_SHOWN: Final = 16


@dataclass(frozen=True)
class Line:
    """One member, as a person compares it.

    Attributes:
        keys: the first 16 hexadecimal digits of the SHA-256 over both of its public keys.
        signed: whether it has signed version 0; None for who came later.
    """

    participant: str
    organisation: str
    roles: tuple[str, ...]
    keys: str
    signed: bool | None


@dataclass(frozen=True)
class Shown:
    """A roster for a person to compare.

    Attributes:
        fingerprint: of version 0, 64 hexadecimal digits; later versions hang on it.
        version: the newest that members have admitted; whose members are shown.
        founded: whether every founding member has signed.
        included: whether this member is in that version.
    """

    federation: str
    fingerprint: Digest
    version: int
    founded: bool
    included: bool
    members: tuple[Line, ...]

    def words(self) -> str:
        """Return the fingerprint's four words; slow."""
        return words_of(self.fingerprint)

    def organisations(self) -> int:
        """Return of how many organisations its trainers are."""
        trainers = (each for each in self.members if Role.TRAINER in each.roles)
        return len({each.organisation for each in trainers})


async def shown(
    coordinator: Coordinator, keys: SiteKeys, participant: str, federation: str
) -> Shown:
    """Return the roster as the coordinator shows it, with every signature on it checked.

    It is the coordinator's word which version 0 this is, until people have compared it.

    Raises:
        WrongContext: it is of another federation, or has other keys for this member.
        InvalidSignature: a later version lacks signatures of trainers.
        NotYet: there is none; the operator has not closed the founding.
    """
    history = await coordinator.roster()
    if not history:
        raise NotYet("the operator has not closed version 0 of the roster yet")
    first = history[0].roster
    if first.federation != federation:
        raise WrongContext(f"the coordinator shows a roster of {first.federation}")
    newest = _newest(history)
    included = _check_own(newest, keys, participant)
    return Shown(
        federation,
        first.digest(),
        newest.version,
        is_founded(history[0]),
        included,
        tuple(_line(member, history[0]) for member in newest.members),
    )


def line_of(member: Member) -> Line:
    """Return one member as a person compares it, outside of any version."""
    return Line(
        member.participant,
        member.organisation,
        tuple(str(role) for role in member.roles),
        key_fingerprint(member),
        None,
    )


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


def _check_own(roster: Roster, keys: SiteKeys, participant: str) -> bool:
    try:
        mine = roster.member(participant)
    except WrongIdentity:
        return False
    if (mine.signing_key, mine.sealing_key) != (keys.signing_public, keys.sealing_public):
        raise WrongContext(f"the roster has other keys for {participant} than this site's own")
    return True


def _line(member: Member, founding: SignedRoster) -> Line:
    names = {each.participant for each in founding.roster.members}
    found = line_of(member)
    signed = member.participant in founding.signatures if member.participant in names else None
    return Line(found.participant, found.organisation, found.roles, found.keys, signed)
