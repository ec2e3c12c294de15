"""What a coordinator's state folder holds of evidence: the documents of all its rounds."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.adapters.sql.store import open_store
from coordinator.archive import with_signatures
from coordinator.config import Settings
from coordinator.members.rosters import versions_in
from coordinator.ports import Store
from coordinator.rounds.state import Round
from coordinator.scoring.scores import scores_kind
from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed, only_by, unpack
from privacy.errors import StoreUnavailable
from privacy.evidence.bundle import Document
from privacy.identifiers import COORDINATOR
from privacy.plan import SHARES
from privacy.roster import SignedRoster
from privacy.signing import Purpose, sign
from veilsum.federation.observe import Observer
from veilsum.files import disk_errors

from .site import in_order

Found = Iterator[tuple[Purpose, int, Signed]]

_FILE: Final = "sqlite:///"


def documents_of(settings: Settings, key: Ed25519PrivateKey) -> list[Document]:
    """Return what was signed in the rounds of a programme, in the order of a bundle.

    The coordinator may run meanwhile; a round that is not over is there as far as it has come.

    Args:
        key: the coordinator's, which signs plans whenever they are asked for.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with _store(settings.database, settings.database_password) as store:
        return in_order(_all(store, key))


@contextmanager
def _store(url: str, password: Path | None) -> Iterator[Store]:
    """Open a coordinator's database; one on a read-only or full disk through a copy of it."""
    with ExitStack() as stack:
        try:
            store = open_store(url, password)
        except StoreUnavailable:
            copy = stack.enter_context(_copied(url))
            store = open_store(copy)
        stack.callback(store.close)
        yield store


@contextmanager
def _copied(url: str) -> Iterator[str]:
    path = Path(url.removeprefix(_FILE))
    if not url.startswith(_FILE) or not path.is_file():
        raise StoreUnavailable(f"{url}: the database does not answer")
    with TemporaryDirectory(prefix="veilsum-") as folder:
        for each in (path, path.with_name(f"{path.name}-wal")):
            if each.exists():
                with disk_errors(each):
                    shutil.copyfile(each, Path(folder) / each.name)
        yield f"{_FILE}{Path(folder) / path.name}"


def _all(store: Store, key: Ed25519PrivateKey) -> Found:
    for version in versions_in(store):
        yield Purpose.ROSTER, 0, _roster(version)
    for number, current in Observer(store).rounds().items():
        yield from _planned(store, number, key)
        yield from _contributed(store, number)
        yield from _agreed(store, current)
        yield from _judged(store, current)


def _planned(store: Store, number: int, key: Ed25519PrivateKey) -> Found:
    packed = dict(store.documents("plan")).get(str(number))
    if packed is not None:
        named = bytes.fromhex(plans.digest_of(*plans.parts(packed)))
        yield Purpose.PLAN, number, Signed(packed, {COORDINATOR: sign(key, Purpose.PLAN, named)})


def _contributed(store: Store, number: int) -> Found:
    packed = dict(store.documents("plan")).get(str(number))
    if packed is None:
        return
    shared = plans.unpack(packed).arithmetic.scheme == SHARES
    purpose = Purpose.SHARED_CONTRIBUTION if shared else Purpose.CONTRIBUTION
    for upload in store.uploads(number):
        if upload.committed:
            yield purpose, number, unpack(upload.header)


def _agreed(store: Store, current: Round) -> Found:
    number = current.number
    if current.cohort:
        signed = with_signatures(store, "cohort", current.cohort)
        yield Purpose.COHORT, number, only_by(signed, COORDINATOR)
        certifying = only_by(signed, *(name for name in signed.signatures if name != COORDINATOR))
        if certifying.signatures:
            yield Purpose.CERTIFICATE, number, certifying
    if current.sum:
        yield Purpose.SUM, number, with_signatures(store, "sum", current.sum)
    if current.release:
        yield Purpose.RELEASE, number, with_signatures(store, "release", current.release)


def _judged(store: Store, current: Round) -> Found:
    for judged in current.judged:
        yield Purpose.VERDICT, current.number, unpack(store.document("verdict", judged.verdict))
    merged: dict[bytes, Signed] = {}
    for _, body in store.documents(scores_kind(current.number)):
        signed = unpack(body)
        before = merged.get(signed.body, Signed(signed.body, {}))
        merged[signed.body] = Signed(signed.body, {**before.signatures, **signed.signatures})
    for signed in merged.values():
        yield Purpose.SCORES, current.number, signed


def _roster(version: SignedRoster) -> Signed:
    return Signed(canonical.encode(version.roster), dict(version.signatures))
