"""Whether a site's privacy ledger only grew: what its header says, against what one before said.

An honest site reserves before it signs a header, and commits before it sends one; no row is
ever taken away. So of two of its headers the later one's ledger is longer. One that is not was
signed with an older copy of the ledger, in which what was spent since is forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import PeerLedgerRolledBack
from .identifiers import Digest
from .ledger import Checkpoint
from .records import Header, digest_of


@dataclass(frozen=True, slots=True)
class LastSeen:
    """How far a site's ledger had come in the newest of its headers that was seen.

    Attributes:
        round: of that header.
        out: its digest, which the site's ledger commits to.
        ledger: the head of the ledger when it was signed.
    """

    round: int
    out: Digest
    ledger: Checkpoint


SeenOf = Mapping[str, LastSeen]
"""What one party has seen of others' ledgers, by participant; who is missing was never seen."""


def seen_in(header: Header) -> LastSeen:
    """Return what a header says of its site's ledger."""
    return LastSeen(header.round, digest_of(header), header.ledger)


def check_grown(participant: str, said: LastSeen, before: LastSeen | None) -> None:
    """Return if a site's ledger only grew between two of its headers, in the order of their rounds.

    Two of one round are not for this to judge: of these one is taken, ever.

    Raises:
        PeerLedgerRolledBack: it did not; its operator puts the newest ledger back.
    """
    if before is None or said.round == before.round:
        return
    first, then = (said, before) if said.round < before.round else (before, said)
    if first.ledger.size >= then.ledger.size:
        raise PeerLedgerRolledBack(
            f"{participant}: its header for round {first.round} was signed with "
            f"{first.ledger.size} rows of its privacy ledger, and the one for round {then.round} "
            f"with {then.ledger.size}: an older copy was put back; its operator puts the newest "
            "one back"
        )


def later(said: LastSeen, before: LastSeen | None) -> LastSeen:
    """Return whichever of two that were checked has the longer ledger."""
    return said if before is None or said.ledger.size > before.ledger.size else before
