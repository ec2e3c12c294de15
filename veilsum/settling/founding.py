"""Which chain and key a command uses before there is a contract or a programme to name."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError
from veilsum.chain.access import ChainAccess
from veilsum.files import make_folder

from .place import JOURNAL, Place, place_of

if TYPE_CHECKING:
    from veilsum.chain.journal import FolderJournal

_UNKNOWN: Final = ("settlement.contract=0x" + "00" * 20, "settlement.programme=" + "00" * 32)
_OF_COORDINATOR: Final = "settlement.escrow=0"


@dataclass(frozen=True, slots=True)
class Means:
    """A way to a chain, a key, and the folder in which what the key sends is kept."""

    access: ChainAccess
    transactions: Path

    def journal(self) -> "FolderJournal":
        """Return where what the key sends is kept."""
        from veilsum.chain.journal import FolderJournal  # noqa: PLC0415

        make_folder(self.transactions)
        return FolderJournal(self.transactions)


@dataclass(frozen=True, slots=True)
class Typed:
    """The same as options of a command, where there is no file of settings."""

    rpc: str | None = None
    keystore: Path | None = None
    passphrase: Path | None = None
    transactions: Path | None = None


def place_before(config: Path, over: Over = NOTHING) -> Place:
    """Return where a process settles whose file may not name contract and programme yet.

    Raises:
        ConfigError: as for `place_of`.
    """
    return place_of(config, over_before(config, over))


def over_before(config: Path, over: Over) -> Over:
    """Return what goes over a file that may not name contract, programme and escrow yet."""
    more = (*_UNKNOWN, _OF_COORDINATOR) if config.stem == "coordinator" else _UNKNOWN
    return over._replace(assignments=(*over.assignments, *more))


def means_of(config: Path | None, typed: Typed, over: Over = NOTHING) -> Means:
    """Return the chain and the key of a process's file, or those that were typed.

    Raises:
        ConfigError: both, neither, or not all of one.
        ChainUnavailable, WrongContext: as for `connect`, where only an URL was typed.
    """
    if config is not None:
        if typed != Typed():
            raise ConfigError("--config has all of it; leave out --rpc and what belongs to it")
        place = place_before(config, over)
        return Means(place.access, place.state / JOURNAL)
    if None in (typed.rpc, typed.keystore, typed.passphrase, typed.transactions):
        raise ConfigError(
            "name a file with --config, or set --rpc, --keystore, --passphrase and --transactions"
        )
    assert typed.rpc is not None  # it is not: as above
    assert typed.transactions is not None
    access = ChainAccess(
        rpc=typed.rpc,
        chain_id=chain_id_at(typed.rpc),
        keystore=typed.keystore,
        passphrase=typed.passphrase,
    )
    return Means(access, typed.transactions)


def chain_id_at(rpc: str) -> int:
    """Return the number of the chain behind an URL.

    Raises:
        ChainUnavailable: nothing answers.
    """
    from veilsum.chain.endpoint import connect  # noqa: PLC0415

    return connect(rpc).chain_id
