"""Whose keys count: those of the roster that members admitted, from one fingerprint on.

The fingerprint of roster version 0 is what members compare out of band when they found the
federation, and what stands in each site's own file. Whoever has it needs no other key: the
bundle holds the rosters, and each says who admitted the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import msgspec

from privacy.canonical import decode
from privacy.documents import Signed
from privacy.errors import InvalidSignature, WrongIdentity
from privacy.identifiers import COORDINATOR, Digest, ParticipantId
from privacy.roster import Roster, SignedRoster, admit_all
from privacy.signing import Purpose, verify

from .bundle import Bundle, Document, Hex32


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an officer has compared out of band: `keys.toml`.

    Attributes:
        roster: fingerprint of version 0 of the federation's roster.
        signing: more signing keys of a participant, for instance of another federation with
            which it shares a ledger.
        officers: of each participant, the officers that may raise its limits, and their keys.
    """

    roster: Digest
    signing: dict[ParticipantId, tuple[Hex32, ...]] = {}
    officers: dict[ParticipantId, dict[str, Hex32]] = {}


@dataclass(frozen=True)
class Trust:
    """The keys that signatures in a bundle are held against.

    Attributes:
        versions: every version of the roster, oldest first.
        signing: more keys, by participant.
    """

    versions: tuple[Roster, ...]
    signing: Mapping[str, tuple[Hex32, ...]]

    def keys_of(self, name: str) -> frozenset[bytes]:
        """Return the signing keys of a participant, or of the coordinator, of all times."""
        further = {bytes.fromhex(key) for key in self.signing.get(name, ())}
        if name == COORDINATOR:
            return frozenset(further | {each.coordinator_key for each in self.versions})
        members = (each for version in self.versions for each in version.members)
        return frozenset(
            further | {each.signing_key for each in members if each.participant == name}
        )

    def check_key(self, name: str, key: bytes) -> None:
        """Return if `key` is one of `name`.

        Raises:
            WrongIdentity: it is not.
        """
        if key not in self.keys_of(name):
            raise WrongIdentity(f"key {key.hex()[:16]}… is not one of {name}")

    def check_signature(self, name: str, purpose: Purpose, body: bytes, signature: bytes) -> None:
        """Return if `name` has signed `body`, under any key it has had.

        Raises:
            InvalidSignature: it has not.
        """
        for key in sorted(self.keys_of(name)):
            try:
                return verify(key, purpose, body, signature)
            except InvalidSignature:
                continue
        raise InvalidSignature(f"not a signature of this {purpose} by {name}")


def trust_in(bundle: Bundle, keys: Keys | None) -> Trust:
    """Return whose keys count in `bundle`; without `keys` those that it asserts itself.

    Where a version of the roster is missing nobody is known but whom `keys` name, and the maker
    is who the head says: what follows is said to be incomplete, and not to be somebody else's.

    Raises:
        WrongContext: its roster is not the one of that fingerprint.
        InvalidSignature, MalformedMessage: a version that members have not admitted.
    """
    named = {} if keys is None else keys.signing
    history = _history(bundle)
    if _gap(history) is not None:
        return Trust((), {bundle.head.participant: (bundle.head.key,), **named})
    fingerprint = history[0].roster.digest() if keys is None else keys.roster
    return Trust(admit_all(history, fingerprint), named)


def missing_rosters(bundle: Bundle) -> str:
    """Return which rosters a bundle lacks, in words; nothing if it lacks none."""
    gap = _gap(_history(bundle))
    if gap is None:
        return ""
    return (
        f"no roster in the bundle of version {gap}, so that nothing says whose keys count; let its "
        "maker put the files of kept/000000 back, and export again"
    )


def check_head(bundle: Bundle, trust: Trust) -> None:
    """Return if the bundle is of the roster's federation, made under a key of its maker's.

    Raises:
        WrongIdentity: it is not.
    """
    head = bundle.head
    if trust.versions and trust.versions[0].federation != head.federation:
        raise WrongIdentity(f"a bundle of {head.federation}, with another federation's roster")
    if (head.participant == COORDINATOR) != (head.evidence == "run"):
        raise WrongIdentity(f"evidence of a {head.evidence}, made by {head.participant}")
    trust.check_key(head.participant, bytes.fromhex(head.key))


def signed_of(document: Document) -> Signed:
    """Return a document as the rest of Veilsum handles it."""
    made = {name: bytes.fromhex(each) for name, each in document.signatures.items()}
    return Signed(document.body, made)


def _history(bundle: Bundle) -> list[SignedRoster]:
    history = [_signed_roster(one) for _, one in bundle.documents(Purpose.ROSTER)]
    return sorted(history, key=lambda each: each.roster.version)


def _gap(history: list[SignedRoster]) -> int | None:
    """Return the first version that is missing up to the newest that is there; or version 0."""
    there = sorted({each.roster.version for each in history})
    if there and there == list(range(len(there))):
        return None
    return next(number for number in count() if number not in there)


def _signed_roster(document: Document) -> SignedRoster:
    return SignedRoster(decode(document.body, Roster), signed_of(document).signatures)
