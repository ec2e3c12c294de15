"""Admit a later version of the roster: what it changes, and this trainer's one signature on it.

The coordinator hands out the entries that are new, and could put keys of its own into them. So
each comes with what its member has asked and signed, and a trainer compares the words of that with
the member itself, by telephone: the member has them from `join`, and from its `status`.

A version counts with the signatures of more than half of the trainers of the version before. Each
trainer signs one version of each number, and remembers which: two different versions can then
never both have enough, whatever the coordinator shows to whom.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from participant.kept import Kept
from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from privacy import canonical
from privacy.enrolment import Asked, Proven, approved_part
from privacy.errors import ConfigError, InvalidSignature, NotYet, WrongContext, WrongIdentity
from privacy.identifiers import Digest
from privacy.roster import Member, Role, Roster, check_follows, decode_roster, is_founded
from privacy.signing import Purpose, sign, verify
from privacy.words import ROSTER_WORDS, words_of
from veilsum.files import holding, make_folder, read_at_most, write_durably

from .confirm import Line, key_fingerprint, line_of
from .found import check_entries
from .versions import admitted_versions

FOLDER: Final = "admitted"
_LONGEST: Final = 1 << 16


@dataclass(frozen=True)
class Change:
    """One thing about a member, or about the coordinator, that would be otherwise."""

    who: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Call:
    """Whom to call before its entry is admitted, and the words that it must read."""

    participant: str
    words: str


@dataclass(frozen=True)
class Proposal:
    """A version that is before the trainers, against the one that counts.

    Attributes:
        asked: what each member has asked and signed whose entry is new, or has other keys,
            another organisation or another payout address; checked.
        signed: trainers of the version before whose signatures are good.
        needed: how many it takes.
    """

    roster: Roster
    added: tuple[Line, ...]
    removed: tuple[str, ...]
    changed: tuple[Change, ...]
    asked: tuple[Asked, ...]
    signed: tuple[str, ...]
    needed: int

    @property
    def fingerprint(self) -> Digest:
        """What trainers compare, 64 hexadecimal digits."""
        return self.roster.digest()

    def words(self) -> str:
        """Return the fingerprint's eight words; slow."""
        return words_of(self.fingerprint, ROSTER_WORDS)

    def calls(self) -> tuple[Call, ...]:
        """Return whom to call, and what each must read; slow."""
        return tuple(Call(each.entry.participant, each.words()) for each in self.asked)


async def proposed(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: Digest, kept: Kept
) -> Proposal | None:
    """Return the version that is proposed, if there is one and it may follow; None if not.

    Args:
        fingerprint: of version 0, as this site has confirmed it.
        kept: the versions that this site has seen, which are not shown otherwise to it again.

    Raises:
        WrongContext: it does not follow, has other keys for this site, or an entry that its
            member has not asked for. Or the history is another one than before.
        InvalidSignature: as for `admitted_history`, or a member has not signed what it asked.
        WrongIdentity: this site is no trainer, and has no voice.
        NotYet: version 0 is not founded, or fewer versions are shown than before.
        MalformedMessage: nothing could be sealed to one of its members.
    """
    founding = await coordinator.roster(fingerprint)
    if founding and not is_founded(founding[0]):
        raise NotYet("the founding members have not all signed version 0: nothing follows it yet")
    versions = await admitted_versions(coordinator, keys, participant, fingerprint, kept)
    signed = await coordinator.proposal()
    if signed is None:
        return None
    now, then = versions[-1], decode_roster(signed.body)
    if Role.TRAINER not in now.member(participant).roles:
        raise WrongIdentity(f"{participant} is no trainer of roster version {now.version}")
    check_follows(now, then)
    check_entries(then)
    _check_own(then, participant, keys)
    asked = tuple(_asked(now, then, await coordinator.proofs()))
    return Proposal(
        then,
        tuple(line_of(each) for each in _missing(then, now)),
        tuple(each.participant for each in _missing(now, then)),
        tuple(_changes(now, then)),
        asked,
        tuple(_signers(now, then, signed.signatures)),
        len(now.trainers()) // 2 + 1,
    )


async def admit(
    coordinator: Coordinator,
    keys: SiteKeys,
    state: Path,
    proposal: Proposal,
    instead_of: Digest | None = None,
) -> None:
    """Sign a proposed version: the only one of its number that this site ever signs.

    Args:
        instead_of: fingerprint of the version that this site has signed before under the same
            number, and that its people know to be withdrawn.

    Raises:
        ConfigError: this site has signed another version of this number; nothing is signed.
        FolderHeld: somebody else signs for this site at this moment.
    """
    make_folder(state / FOLDER)
    # A folder of its own: this site's agent holds the other one, and goes on meanwhile.
    with holding(state / FOLDER):
        _remember(state, proposal, instead_of)
        made = sign(keys.signing, Purpose.ROSTER, canonical.encode(proposal.roster))
        await coordinator.sign_proposal(proposal.fingerprint, made)


def signed_before(state: Path, version: int) -> tuple[Digest, ...]:
    """Return the fingerprints of what this site has signed under a number, oldest first."""
    path = state / FOLDER / str(version)
    return tuple(read_at_most(path, _LONGEST).decode().split()) if path.exists() else ()


def _remember(state: Path, proposal: Proposal, instead_of: Digest | None) -> None:
    version, mine = proposal.roster.version, proposal.fingerprint
    before = signed_before(state, version)
    if mine in before[-1:]:
        return
    if before and instead_of != before[-1]:
        raise ConfigError(
            f"this site has signed another version {version} before, {before[-1]}: with both, the "
            "coordinator could show one to some and the other to others. Only if the other "
            "trainers say by phone that they have not signed it, or that it is withdrawn: "
            f"--instead-of {before[-1]}"
        )
    # before it is signed, so that a crash leaves no signature that nobody remembers
    write_durably(state / FOLDER / str(version), "\n".join([*before, mine]).encode())


def _check_own(then: Roster, me: str, keys: SiteKeys) -> None:
    theirs = next((each for each in then.members if each.participant == me), None)
    own = (keys.signing_public, keys.sealing_public)
    if theirs is not None and (theirs.signing_key, theirs.sealing_key) != own:
        # What is sealed to this site from then on, this site could not open; and somebody else
        # could sign in its name.
        raise WrongContext(
            f"the version that is proposed has other keys for {me} than this site's own"
        )


def _asked(now: Roster, then: Roster, proofs: Sequence[Proven]) -> Iterator[Asked]:
    """Yield what each member has asked whose entry is not as it was; its roles are shown."""
    before = {approved_part(member) for member in now.members}
    for member in then.members:
        if approved_part(member) in before:
            continue
        found = next((each for each in proofs if each.is_for(member)), None)
        if found is None:
            raise WrongContext(
                f"the version that is proposed has an entry of {member.participant} that it has "
                "not asked for, as far as the coordinator shows; its operator must invite it again"
            )
        found.check()
        yield found.asked


def _missing(of: Roster, other: Roster) -> Iterator[Member]:
    there = {member.participant for member in other.members}
    return (member for member in of.members if member.participant not in there)


def _changes(now: Roster, then: Roster) -> Iterator[Change]:
    if now.coordinator_key != then.coordinator_key:
        before, after = now.coordinator_key.hex()[:16], then.coordinator_key.hex()[:16]
        yield Change("coordinator", "signing key", before, after)
    later = {member.participant: member for member in then.members}
    for member in now.members:
        if member.participant in later:
            yield from _differences(member, later[member.participant])


def _differences(before: Member, after: Member) -> Iterator[Change]:
    facts = (
        ("organisation", before.organisation, after.organisation),
        ("roles", ", ".join(before.roles), ", ".join(after.roles)),
        ("keys", key_fingerprint(before), key_fingerprint(after)),
        ("payout address", before.payout_address, after.payout_address),
    )
    for what, was, becomes in facts:
        if was != becomes:
            yield Change(before.participant, what, was, becomes)


def _signers(now: Roster, then: Roster, signatures: Mapping[str, bytes]) -> Iterator[str]:
    body = canonical.encode(then)
    for trainer in now.trainers():
        signature = signatures.get(trainer.participant, b"")
        try:
            verify(trainer.signing_key, Purpose.ROSTER, body, signature)
        except InvalidSignature:
            continue
        yield trainer.participant
