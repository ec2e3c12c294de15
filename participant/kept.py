"""What was signed in the rounds of this site, kept on its disk for whoever audits it.

    kept/000000/roster-<digest>         every version of the roster, with its signatures
    kept/000002/plan-<digest>           the plan that this site worked under
    kept/000002/contribution-<digest>   its own signed header, receipt, the cohort, the release

Rounds are erased, and the coordinator's word is not enough: a ledger is evidence only beside
the documents that it names. Nothing here is an update, a share or a key. A few kB a round; what
is here is never deleted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from privacy import canonical
from privacy.documents import Signed, pack, unpack
from privacy.errors import ConfigError, MalformedMessage
from privacy.failpoints import Step, pass_by
from privacy.identifiers import COORDINATOR
from privacy.roster import SignedRoster
from privacy.signing import Purpose, digest
from veilsum.files import disk_errors, make_folder, write_durably

FOLDER: Final = "kept"

_NAMES: Final = {purpose.split("/")[1]: purpose for purpose in Purpose}


@dataclass(frozen=True)
class Kept:
    """The documents in a site's state folder."""

    folder: Path
    step: Step = pass_by

    def keep(self, purpose: Purpose, number: int, signed: Signed) -> None:
        """Keep a document of a round, durably; with more signatures than before, those too.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        name = f"{purpose.split('/')[1]}-{digest(purpose, signed.body)}"
        path = self.folder / f"{number:06d}" / name
        before = _read(path).signatures if path.exists() else {}
        if path.exists() and signed.signatures.keys() <= before.keys():
            return
        make_folder(self.folder)
        make_folder(path.parent)
        self.step("kept.before_write")
        write_durably(path, pack(Signed(signed.body, {**before, **signed.signatures})))
        self.step("kept.after_write")

    def keep_plan(self, number: int, sent: tuple[bytes, bytes, bytes]) -> None:
        """Keep a round's plan: its arithmetic part, its terms and the coordinator's signature."""
        arithmetic, terms, signature = sent
        body = len(arithmetic).to_bytes(4, "big") + arithmetic + terms
        self.keep(Purpose.PLAN, number, Signed(body, {COORDINATOR: signature}))

    def keep_rosters(self, history: list[SignedRoster]) -> None:
        """Keep every version of the roster, with the signatures that admit it."""
        for each in history:
            signed = Signed(canonical.encode(each.roster), dict(each.signatures))
            self.keep(Purpose.ROSTER, 0, signed)

    def of(self, purpose: Purpose, number: int) -> tuple[Signed, ...]:
        """Return what is kept of a round that was signed for one purpose.

        Raises:
            StoreUnavailable, ConfigError: as for `all`.
        """
        paths = sorted((self.folder / f"{number:06d}").glob(f"{purpose.split('/')[1]}-*"))
        return tuple(_named(path, purpose, path.name.rpartition("-")[2]) for path in paths)

    def all(self) -> Iterator[tuple[Purpose, int, Signed]]:
        """Yield all that is kept: what it was signed for, its round, and the document.

        Raises:
            StoreUnavailable: it cannot be read.
            ConfigError: a file that is not as it was written; restore it.
        """
        for path in sorted(self.folder.glob("[0-9]" * 6 + "/*")):
            kind, _, name = path.name.rpartition("-")
            if kind in _NAMES:
                yield _NAMES[kind], int(path.parent.name), _named(path, _NAMES[kind], name)


def _named(path: Path, purpose: Purpose, name: str) -> Signed:
    signed = _read(path)
    if digest(purpose, signed.body) != name:
        raise ConfigError(
            f"{path}: not the document that its name is the digest of; put it back from a backup "
            "of this folder"
        )
    return signed


def _read(path: Path) -> Signed:
    with disk_errors(path):
        stored = path.read_bytes()
    try:
        return unpack(stored)
    except MalformedMessage as error:
        raise ConfigError(f"{path}: {error}; put it back from a backup of this folder") from None
