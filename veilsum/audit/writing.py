"""A site's ledger, to be written to by a command: what the site remembers of it keeps in step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.config import SiteConfig, ledger_of, limits_of
from participant.ledger.site_ledger import SiteLedger
from participant.memory import Memory


@contextmanager
def written(
    site: SiteConfig, key: Ed25519PrivateKey, clock: Callable[[], float], actor: str
) -> Iterator[SiteLedger]:
    """Give a site's ledger to write to, as its agent opens it; the agent may run meanwhile.

    Raises:
        LedgerRolledBack: it is an older copy than this site has seen; nothing is written.
        RootMismatch: it is broken.
        StoreUnavailable: another process holds it for long, or the disk refuses.
    """
    memory = Memory(site.state)
    try:
        # Before the ledger is read, which may have grown since, and never shrinks.
        seen = memory.ledger_seen()
        ledger = SiteLedger(
            ledger_of(site),
            clock,
            site=site.participant,
            limits=limits_of(site.policy),
            key=key,
            actor=actor,
            also=site.dataset.ledger_keys,
            keeps=memory.ledger_grew,
        )
        try:
            if seen is not None:
                ledger.require_extends(seen)
            yield ledger
        finally:
            ledger.close()
    finally:
        memory.close()
