"""Where a process settles, by its file of settings: chain, contract, programme, key and journal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from coordinator import config as coordinators
from coordinator.config import SettlementSettings
from participant import config as sites
from participant.auditing import config as auditors
from participant.config import ProgrammeAccess
from participant.seat import config as seats
from participant.settling.payout import Payouts
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError, MalformedMessage
from privacy.settlement.payouts import Address, Entitlement, Word, parse_address
from veilsum.chain.access import ChainAccess
from veilsum.files import make_folder

if TYPE_CHECKING:
    from participant.settling.programme import Programme
    from veilsum.chain.endpoint import Endpoint
    from veilsum.chain.journal import FolderJournal

JOURNAL: Final = "transactions"
"""The folder in which each process keeps what its key has sent: one key has one journal."""


@dataclass(frozen=True, slots=True)
class Place:
    """What one process's settings say of a chain.

    Attributes:
        programme: None, if neither its file nor what it was offered names one.
        payee: a site's own payout address.
        offered: the newest payout that a site was offered and has found right.
    """

    access: ChainAccess
    contract: str
    programme: str | None
    state: Path
    payee: str | None = None
    offered: Entitlement | None = None

    def address(self) -> str | None:
        """Return the address of the key, as far as the settings tell it: a keystore is opened."""
        if self.access.signer is not None:
            return self.access.signer.address
        from veilsum.chain.endpoint import signer_of  # noqa: PLC0415

        return signer_of(self.access).address

    def reach(self) -> "Endpoint":
        """Return the chain.

        Raises:
            ChainUnavailable, WrongContext, EndpointsDiffer: as for `endpoint.reach`.
        """
        from veilsum.chain.endpoint import reach  # noqa: PLC0415  heavy, and an extra

        return reach(self.access)

    def on_chain(self, programme: str = "") -> "Programme":
        """Return the programme.

        Args:
            programme: another one than the settings name.

        Raises:
            ConfigError: no programme is named.
            WrongContext, ChainUnavailable: as for `programme_at`.
        """
        from participant.settling.programme import programme_at  # noqa: PLC0415

        named = programme or self.programme
        if named is None:
            raise ConfigError(
                "settlement.programme: no programme is named, and none was offered yet; set it, "
                "or name one with --programme"
            )
        return programme_at(self.reach(), self.contract, _word(named))

    def journal(self) -> "FolderJournal":
        """Return where this process keeps what its key sends."""
        from veilsum.chain.journal import FolderJournal  # noqa: PLC0415

        folder = self.state / JOURNAL
        make_folder(folder)
        return FolderJournal(folder)


def place_of(config: Path, over: Over = NOTHING) -> Place:
    """Return where the process settles whose settings are in a file, which is named after it.

    Raises:
        ConfigError: the file is nobody's who settles, it says nothing about a chain, or it is
            not what it must be.
    """
    if config.stem not in _READERS:
        raise ConfigError(
            f"{config}: name the file after whose settings it has: "
            f"{', '.join(f'{name}.toml' for name in _READERS)}"
        )
    found = _READERS[config.stem](config, over)
    if found is None:
        raise ConfigError(f"{config}: it has no table [settlement], which says where the chain is")
    return found


def _of_coordinator(config: Path, over: Over) -> Place | None:
    read = coordinators.read(config, over)
    return _of(read.settlement, read.state)


def _of_site(config: Path, over: Over) -> Place | None:
    read = sites.read(config, over)
    access = read.settlement
    if access is None:
        return None
    kept = Payouts(read).offered()
    offered = None if kept is None else kept.entitlement
    named = access.programme
    if named is None and offered is not None:
        named = offered.domain.programme
    return Place(access, access.contract, named, read.state, access.payee, offered)


def _of_auditor(config: Path, over: Over) -> Place | None:
    read = auditors.read(config, over)
    return _of(read.settlement, read.state)


def _of_seat(config: Path, over: Over) -> Place | None:
    read = seats.read(config, over)
    return _of(read.settlement, read.state)


def _of(access: ProgrammeAccess | SettlementSettings | None, state: Path) -> Place | None:
    return None if access is None else Place(access, access.contract, access.programme, state)


_READERS: Final[Mapping[str, Callable[[Path, Over], Place | None]]] = {
    "coordinator": _of_coordinator,
    "site": _of_site,
    "auditor": _of_auditor,
    "aggregator": _of_seat,
}


def typed_address(option: str, text: str) -> Address:
    """Return an address that was typed, in lowercase.

    Raises:
        ConfigError: it is none.
    """
    try:
        return parse_address(text)
    except MalformedMessage as error:
        raise ConfigError(f"{option}: {error}; correct it") from None


def _word(text: str) -> str:
    try:
        return msgspec.convert(text.lower().removeprefix("0x"), Word)
    except msgspec.ValidationError:
        raise ConfigError(f"{text[:80]!r} is no programme: 64 hexadecimal digits") from None
