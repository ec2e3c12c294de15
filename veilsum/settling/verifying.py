"""Verify what stands on a chain: the contracts' code, and the programme that settings name."""

from pathlib import Path

import msgspec

from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError
from veilsum.chain.endpoint import connect

from .deploying import Contracts, look
from .examining import Examined, examine
from .founding_words import of_contracts, of_examined
from .place import place_of, typed_address


class Verified(msgspec.Struct, frozen=True):
    """What stands there; without a file of settings no programme was looked at."""

    contracts: Contracts
    programme: Examined | None = None

    def wrong(self) -> tuple[str, ...]:
        """Return a sentence for each fault of the programme."""
        return () if self.programme is None else self.programme.wrong


def verify(
    config: Path | None, rpc: str | None, contract: str, registry: str, over: Over = NOTHING
) -> Verified:
    """Return what stands on a chain, by a file of settings or at an address.

    Raises:
        ConfigError: both or neither are given, or what was typed is no address.
        WrongContext: code is not this release's, or there is no such programme.
        ChainUnavailable: no answer, or the contracts are not final yet.
        EndpointsDiffer: two endpoints differ.
    """
    registry = registry and typed_address("--registry", registry)
    if config is None:
        if rpc is None or not contract:
            raise ConfigError("name a file with --config, or set --rpc and --contract")
        contract = typed_address("--contract", contract)
        return Verified(look(connect(rpc), contract, registry))
    if rpc is not None or contract:
        raise ConfigError("--config names chain and contract; leave out --rpc and --contract")
    place = place_of(config, over)
    programme = place.on_chain()
    contracts = look(programme.endpoint, place.contract, registry)
    return Verified(contracts, examine(programme, config, place, over))


def words_of(found: Verified) -> str:
    """Return it for people."""
    parts = [of_contracts(found.contracts)]
    if found.programme is not None:
        parts.append(of_examined(found.programme))
    return "\n".join(parts)
