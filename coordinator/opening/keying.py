"""Keys: made by one opener, vouched for by the others, kept sealed by the coordinator."""

from dataclasses import dataclass

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.config import Settings
from coordinator.members.rosters import Rosters
from coordinator.ports import ObjectStore
from coordinator.rounds import plan as planning
from coordinator.rounds import round as machine
from coordinator.rounds import verify
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Round
from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import IllegalEvent, NotYet
from privacy.records import KeyRecord, digest_of
from privacy.signing import Purpose


@dataclass(frozen=True)
class Keying:
    """What openers do for a round's key, and what everybody may know of it."""

    settings: Settings
    rounds: Rounds
    archive: Archive
    objects: ObjectStore
    rosters: Rosters

    def specification(self, number: int) -> bytes:
        """Return what the key of a round must be made for, in canonical form.

        Raises:
            IllegalEvent: the round is of a scheme that has no key.
        """
        if self.rounds.get(number).rules.seats:
            raise IllegalEvent(f"round {number} is under shares, and has no key")
        return canonical.encode(planning.key_specification(self.settings, self.rosters.current()))

    def key(self, number: int) -> tuple[Signed, bytes]:
        """Return the key record of a round and the public key it names.

        Raises:
            NotYet: no opener has offered one.
        """
        current = self.rounds.get(number)
        record = self._record(current)
        return record, self.objects.get(names.public_key(number, current.key_record))

    def sealed_secret(self, number: int, opener: str) -> bytes:
        """Return the round's secret, sealed to one opener; empty if there is none for it."""
        current = self.rounds.get(number)
        if not current.key_record or opener not in current.rules.openers:
            return b""
        return self.objects.get(names.sealed_secret(number, current.key_record, opener))

    def offer(
        self, sender: str, signed: Signed, public_key: bytes, sealed: tuple[bytes, ...]
    ) -> None:
        """Take the key that an opener made for its turn."""
        roster = self.rosters.current()
        specification = planning.key_specification(self.settings, roster)
        record = verify.key_offer(signed, sender, public_key, sealed, specification, roster)
        name, number = digest_of(record), record.round
        # Asked before anything is stored, so that keys out of turn fill no disk.
        machine.step(self.rounds.get(number), machine.KeyOffered(sender, name))
        self.objects.put(names.public_key(number, name), public_key)
        for opener, secret in zip(specification.openers, sealed, strict=True):
            self.objects.put(names.sealed_secret(number, name, opener), secret)
        self.archive.keep("key", name, Signed(signed.body, {}))
        self.archive.keep_signature("key", name, sender, signed.signatures[sender])
        self.rounds.apply(number, machine.KeyOffered(sender, name))

    def sign(self, sender: str, number: int, signature: bytes) -> None:
        """Take an opener's signature on the round's key record."""
        current = self.rounds.get(number)
        signed = Signed(self._record(current).body, {sender: signature})
        wanted = canonical.decode(signed.body, KeyRecord).specification
        member = self.rosters.under(wanted.roster).member(sender)
        check_signer(signed, Purpose.KEY_RECORD, sender, member.signing_key)
        event = machine.KeySigned(sender, current.key_record)
        machine.step(current, event)
        self.archive.keep_signature("key", current.key_record, sender, signature)
        self.rounds.apply(number, event)

    def _record(self, current: Round) -> Signed:
        if not current.key_record:
            raise NotYet(f"round {current.number}: {current.whose_turn()} makes the key")
        return self.archive.with_signatures("key", current.key_record)
