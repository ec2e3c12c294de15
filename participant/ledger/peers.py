"""What a trainer has seen of its peers' privacy ledgers: kept, and witnessed in its own.

An older copy of a ledger that is put back forgets what was spent. A peer that has seen the
newest one opens nothing with it; and what stands in the peer's own ledger, signed, shows an
auditor later whose ledger was another one before.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from participant.memory import Memory
from participant.sending.sign import read_header
from privacy.documents import Signed
from privacy.errors import InvalidSignature, LedgerRolledBack, WrongContext
from privacy.growth import SeenOf, seen_in
from privacy.ledger import Witness
from privacy.records import PURPOSES, Header, digest_of
from privacy.roster import Roster
from privacy.signing import Purpose, verify

from .site_ledger import SiteLedger


@dataclass(frozen=True)
class Peers:
    """The other sites, as far as this one has seen their ledgers."""

    me: str
    memory: Memory
    ledger: SiteLedger

    def seen(self) -> SeenOf:
        """Return how far each site's ledger has been seen."""
        return self.memory.ledgers_seen()

    async def record(self, headers: Sequence[Signed]) -> None:
        """Record, before anything is signed or opened, what headers say of their sites' ledgers.

        Args:
            headers: of a cohort that was checked against what `seen` returns.

        Raises:
            StoreUnavailable: the disk refuses; sign nothing, and try again.
        """
        read = [read_header(each.body) for each in headers]
        for header in read:
            self.memory.sees_ledger(header.participant, seen_in(header))
        others = [_witness(header) for header in read if header.participant != self.me]
        await asyncio.to_thread(self.ledger.witness, *others)


def require_newest(ledger: SiteLedger, header: Header) -> None:
    """Return if this site's ledger is the one that it has sent its newest header with.

    Raises:
        LedgerRolledBack: it is an older copy, or has another past.
    """
    ledger.require_extends(header.ledger)
    # Committed before it was sent, so a copy that was made in between is an older one, too.
    out = digest_of(header)
    if all(made.out != out for made in ledger.state().outputs.values()):
        raise LedgerRolledBack(
            f"the privacy ledger does not know what this site has sent in round {header.round}: an "
            "older copy was put back; put the newest one back, or what was spent since is forgotten"
        )


def own_header(newest: Signed, me: str, history: Sequence[Roster]) -> Header:
    """Return the newest header that this site itself has signed.

    Args:
        newest: as the coordinator keeps it.
        history: every version of the roster; the site may have had another key.

    Raises:
        InvalidSignature: this site has not signed it.
        WrongContext: it is of another site or federation.
    """
    header = read_header(newest.body)
    if (header.federation, header.participant) != (history[-1].federation, me):
        raise WrongContext(
            f"a header of {header.participant} is shown as one of {me}: is the certificate its own?"
        )
    signature = newest.signatures.get(me, b"")
    purpose = PURPOSES[type(header)]
    for key in _keys(me, history):
        if _is_signed(key, purpose, newest.body, signature):
            return header
    raise InvalidSignature(f"round {header.round}: a header is shown that {me} has not signed")


def _keys(me: str, history: Sequence[Roster]) -> set[bytes]:
    members = [member for roster in history for member in roster.members]
    return {member.signing_key for member in members if member.participant == me}


def _is_signed(key: bytes, purpose: Purpose, body: bytes, signature: bytes) -> bool:
    try:
        verify(key, purpose, body, signature)
    except InvalidSignature:
        return False
    return True


def _witness(header: Header) -> Witness:
    said = seen_in(header)
    return Witness(header.participant, said.ledger.size, said.ledger.root, said.out)
