"""What a site's state folder holds of evidence: its ledger, its policy, and what it has kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import structlog

from participant.config import SiteConfig, ledger_of, limits_of
from participant.kept import FOLDER, Kept
from participant.keys import SiteKeys
from participant.ledger.store import LedgerStore, store_errors
from privacy.documents import Signed
from privacy.errors import IllegalEvent, StoreUnavailable
from privacy.evidence.bundle import Config, Document, RowLine
from privacy.signing import Purpose

from .folder import require_ledger
from .writing import written

log = structlog.get_logger()


def rows_of(config: SiteConfig, keys: SiteKeys, clock: Callable[[], float]) -> tuple[RowLine, ...]:
    """Return all rows of a site's ledger, the last one a CHECKPOINT of those before it.

    The site may run meanwhile: the row is one more transaction among its own. Where the ledger
    cannot be written (a read-only disk, or a process that holds it for long), it is read as it is.

    Raises:
        ConfigError: there is no ledger, or it is damaged.
        LedgerRolledBack: it is an older copy than this site has seen.
        RootMismatch: the ledger itself is broken; the message says at which row.
        StoreUnavailable: it cannot be read either.
    """
    path = ledger_of(config)
    require_ledger(config)
    try:
        return _marked(config, keys, clock)
    except StoreUnavailable as error:
        log.warning("no_checkpoint", reason=str(error))
        return _as_it_is(path)


def config_of(config: SiteConfig) -> Config:
    """Return a site's policy as evidence: what it allows, and nothing of how many it protects."""
    policy, limits = config.policy, limits_of(config.policy)
    return Config(
        delta=limits.delta,
        epsilon_for_life=limits.epsilon_for_life,
        epsilon_per_round=limits.epsilon_per_round,
        vector_epsilon_for_life=limits.vector_epsilon_for_life,
        vector_epsilon_per_round=limits.vector_epsilon_per_round,
        unit=policy.unit,
        neighbouring=policy.neighbouring,
        mechanisms=tuple(policy.mechanisms),
        schemes=policy.schemes,
        releases=policy.releases,
        smallest_cohort=policy.smallest_cohort,
        without_auditor=policy.without_auditor,
    )


def documents_of(state: Path) -> list[Document]:
    """Return what a site has kept of its rounds, in the order of a bundle.

    Raises:
        ConfigError: a file there is damaged.
        StoreUnavailable: one cannot be read.
    """
    return in_order(Kept(state / FOLDER).all())


def in_order(signed: Iterator[tuple[Purpose, int, Signed]]) -> list[Document]:
    """Return documents in the order of a bundle, each once."""
    found = {}
    for purpose, number, each in signed:
        made = {name: signature.hex() for name, signature in sorted(each.signatures.items())}
        document = Document(purpose, number, each.body, made)
        found[document.order()] = document
    return [found[order] for order in sorted(found)]


def _marked(config: SiteConfig, keys: SiteKeys, clock: Callable[[], float]) -> tuple[RowLine, ...]:
    with written(config, keys.signing, clock, "audit") as ledger:
        try:
            ledger.mark()
        except IllegalEvent as error:
            log.warning("no_checkpoint", reason=str(error))  # nothing is registered yet
        return _lines(ledger.entries())


def _as_it_is(path: Path) -> tuple[RowLine, ...]:
    with closing(LedgerStore(path, writes=False)) as store, store_errors(path):
        return _lines([(body, signature) for _, body, signature in store.entries(after=0)])


def _lines(entries: Sequence[tuple[bytes, bytes]]) -> tuple[RowLine, ...]:
    return tuple(RowLine(bytes(body), bytes(signature)) for body, signature in entries)
