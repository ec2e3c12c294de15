"""Open a programme by its terms, fill its escrow, bond for it, and say what to put into files."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from coordinator import config as coordinators
from coordinator.adapters.chain import SettlementChain, attach
from coordinator.config import Settings
from coordinator.settling.settle import Terms, programme_of
from coordinator.settling.shape import Shape, shape_of
from participant.settling.programme import Programme, contracts_at
from privacy.configuration import NOTHING, Over
from privacy.contribution.scores import Method
from privacy.errors import ConfigError, WrongContext
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Endpoint, checksummed, reach, signer_of, translated
from veilsum.chain.signing import Signer

from .founding import over_before, place_before
from .place import Place
from .terms_file import ProgrammeFile


class Opened(msgspec.Struct, frozen=True):
    """A programme that is open; amounts in the token's smallest unit, the end in Unix time.

    Attributes:
        method: by which the coordinator's settings divide a round; the contract knows none.
    """

    chain_id: int
    contract: str
    programme: str
    coordinator: str
    token: str
    funded: str
    escrow: str
    bonded: str
    bond: str
    end: int
    window_seconds: int
    response_seconds: int
    method: Method


@dataclass(frozen=True)
class Opening:
    """A coordinator, its key, and the terms of what it opens.

    Attributes:
        shape: of what its sites contribute.
        federation: the name of its federation; a part of the label.
        method: by which its settings divide a round.
    """

    place: Place
    key: Signer
    endpoint: Endpoint
    file: ProgrammeFile
    shape: Shape
    federation: str
    method: Method

    def terms(self) -> Terms:
        """Return the terms as the contract has them."""
        return self.file.terms(self.key.address, self.shape, self.federation)

    def open(self, *, fund: bool = True, bond: bool = True) -> Opened:
        """Open the programme, unless it is open, and bring escrow and bond up to its terms.

        After a crash the same words go on where they were, and send nothing twice.

        Args:
            fund: whether this key fills the escrow.
            bond: whether it bonds.

        Raises:
            ConfigError: the key has too few tokens, or the end is too near; nothing was sent.
            WrongContext: the code at an address is not this release's, or there is no token.
            IllegalEvent: the contract or the token refuses.
            ChainUnavailable, FeeAboveCeiling, EndpointsDiffer, FolderHeld: run this again.
        """
        contracts_at(self.endpoint, self.file.contract)
        terms = self.terms()
        chain = attach(self.endpoint, self.key, self.place.journal(), self.file.contract)
        programme = self._on(chain, terms)
        self._require_time(programme, terms)
        escrow, at_stake = int(self.file.escrow) * fund, terms.bond * bond
        self._require_tokens(programme, escrow, at_stake)
        chain.open(terms)
        chain.fund(programme.word.hex(), escrow)
        chain.bond(programme.word.hex(), at_stake)
        return self._opened(programme, terms)

    def _on(self, chain: SettlementChain, terms: Terms) -> Programme:
        parts = contracts_at(self.endpoint, str(chain.contract.address))
        return Programme(self.endpoint, *parts, bytes.fromhex(programme_of(terms)))

    def _require_time(self, programme: Programme, terms: Terms) -> None:
        now = programme.time()
        if terms.end <= now + terms.window:
            raise ConfigError(
                f"end: {self.file.end} is {terms.end - now} seconds from the chain's time; leave "
                f"more than window_seconds, {terms.window}, or no round matures before it"
            )

    def _require_tokens(self, programme: Programme, escrow: int, bond: int) -> None:
        """Require that this key has what is missing: better none sent than half of it."""
        me = checksummed(self.key.address)
        has = self._token_balance(me)
        needed = max(escrow - programme.state().funded, 0)
        needed += max(bond - programme.stake_of(me).bonded, 0)
        if has < needed:
            raise ConfigError(
                f"{me.lower()} has {has} units of the token {self.file.token}, and escrow and bond "
                f"need {needed} more of it; send them, or leave one to others with --no-fund or "
                "--no-bond"
            )

    def _token_balance(self, account: str) -> int:
        token = self.endpoint.at(load("DemoToken"), self.file.token)
        with translated():
            code = self.endpoint.web3.eth.get_code(token.address)
        if not code:
            raise WrongContext(f"token: no contract stands at {self.file.token}; correct it")
        return int(self.endpoint.read(token.functions.balanceOf(account)))

    def _opened(self, programme: Programme, terms: Terms) -> Opened:
        return Opened(
            chain_id=self.endpoint.chain_id,
            contract=str(programme.settlement.address).lower(),
            programme=programme.word.hex(),
            coordinator=terms.coordinator,
            token=terms.token,
            funded=str(programme.state().funded),
            escrow=self.file.escrow,
            bonded=str(programme.stake_of(terms.coordinator).bonded),
            bond=str(terms.bond),
            end=terms.end,
            window_seconds=terms.window,
            response_seconds=terms.response,
            method=self.method,
        )


def opening_of(config: Path, file: ProgrammeFile, over: Over = NOTHING) -> Opening:
    """Return what opens a programme for the coordinator of a file of settings.

    Raises:
        ConfigError: the file is no coordinator's, or says nothing about a chain.
        UnsafeParameters: no scheme parameters fit its settings.
        ChainUnavailable, WrongContext, EndpointsDiffer: as for `reach`.
        InsecureKeyFile: the key cannot be had.
    """
    place, settings = place_before(config, over), settings_of(config, over)
    key, endpoint = signer_of(place.access), reach(place.access)
    assert settings.settlement is not None  # or there was no place
    named = (settings.federation, settings.settlement.method)
    return Opening(place, key, endpoint, file, shape_of(settings), *named)


def settings_of(config: Path, over: Over) -> Settings:
    """Return a coordinator's settings, but for what they say of a chain.

    Raises:
        ConfigError: the file is no coordinator's.
    """
    if config.stem != "coordinator":
        raise ConfigError(f"{config}: a programme is opened with the file of its coordinator")
    return coordinators.read(config, over_before(config, over))
