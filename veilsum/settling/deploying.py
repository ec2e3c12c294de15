"""Deploy the contracts, and say whether those at given addresses are this release's."""

from collections.abc import Sequence

import msgspec

from participant.settling.programme import contracts_at
from privacy.errors import ChainUnavailable, WrongContext
from privacy.settlement.payouts import parse_address
from veilsum.chain.deployment import Deployed, deploy_all, verify
from veilsum.chain.endpoint import Endpoint, reach, signer_of

from .founding import Means


class Stood(msgspec.Struct, frozen=True):
    """One contract; its transaction and gas are None where another contract deployed it.

    Attributes:
        code: Keccak-256 of the code that runs there.
    """

    name: str
    address: str
    code: str
    transaction: str | None = None
    gas: int | None = None


class Contracts(msgspec.Struct, frozen=True):
    """The contracts on one chain, each with this release's code.

    Attributes:
        by: who deployed them; empty where they were only looked at.
        final: whether no fork undoes them any more.
    """

    chain_id: int
    contracts: tuple[Stood, ...]
    final: bool
    by: str = ""

    def address(self, name: str) -> str:
        """Return where a contract stands."""
        return next(each.address for each in self.contracts if each.name == name)


def deploy(means: Means) -> Contracts:
    """Deploy what is not deployed yet by this key, and look at all of it.

    Raises:
        WrongContext: the code that stands is not this release's.
        ChainUnavailable, FeeAboveCeiling, EndpointsDiffer, FolderHeld: run this again; what is
            there already is not sent again.
    """
    key, endpoint = signer_of(means.access), reach(means.access)
    made = deploy_all(endpoint, key, means.journal())
    final = _are_final(endpoint, made)
    return Contracts(endpoint.chain_id, tuple(map(_stood, made)), final, key.address.lower())


def look(endpoint: Endpoint, contract: str, registry: str = "") -> Contracts:
    """Return the settlement at an address, its vault and its verifier, and a registry of it.

    Raises:
        WrongContext: code is not this release's, or the registry is of another settlement.
        ChainUnavailable: no answer, or they are not final yet.
        EndpointsDiffer: two endpoints have different code there.
    """
    found = _addresses(endpoint, contract)
    if registry:
        found["ModelRegistry"] = _registry(endpoint, contract, registry)
    try:
        stood = verify(endpoint, found)
    except WrongContext:
        # In the newest block it is right: it was just looked at.
        raise ChainUnavailable(
            f"the contracts stand at {contract} and are not final yet; run this again"
        ) from None
    return Contracts(endpoint.chain_id, tuple(map(_stood, stood)), final=True)


def _addresses(endpoint: Endpoint, contract: str) -> dict[str, str]:
    settlement, vault, verifier = contracts_at(endpoint, parse_address(contract))
    addresses = {
        "Settlement": settlement.address,
        "StakeVault": vault.address,
        "SumVerifier": verifier.address,
    }
    return {name: str(address).lower() for name, address in addresses.items()}


def _registry(endpoint: Endpoint, contract: str, registry: str) -> str:
    found = endpoint.deployed("ModelRegistry", parse_address(registry))
    of = str(endpoint.read(found.functions.settlement())).lower()
    if of != contract.lower():
        raise WrongContext(f"the registry at {registry} is of the settlement {of}, not {contract}")
    return registry.lower()


def _are_final(endpoint: Endpoint, made: Sequence[Deployed]) -> bool:
    try:
        verify(endpoint, {each.name: each.address for each in made})
    except (WrongContext, ChainUnavailable):
        return False  # each was looked at in the newest block
    return True


def _stood(each: Deployed) -> Stood:
    return Stood(each.name, each.address, each.code, each.transaction, each.gas)
