"""Deploy a set of contracts, each once, and verify what stands at their addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from eth_utils.crypto import keccak
from hexbytes import HexBytes

from privacy.errors import WrongContext

from .compiled import Artefact, load
from .endpoint import Endpoint, Receipt, checksummed, translated
from .journal import Journal
from .signing import Signer


@dataclass(frozen=True, slots=True)
class AddressOf:
    """Stands for the address of a contract that is deployed before."""

    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contract to deploy.

    Attributes:
        name: of its artefact.
        arguments: of its constructor.
        libraries: names of artefacts that are deployed before, and that it calls.
    """

    name: str
    arguments: tuple[object, ...] = ()
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Within:
    """A contract that another one deploys, and whose address that one tells.

    Attributes:
        name: of its artefact.
        by: the name of the other one.
        getter: what of the other one tells the address.
    """

    name: str
    by: str
    getter: str


@dataclass(frozen=True, slots=True)
class Deployed:
    """A contract that stands: where, since which transaction, and the hash of its code.

    The transaction and its gas are None where another contract deployed it.
    """

    name: str
    address: str
    transaction: str | None
    gas: int | None
    code: str


Plan = Sequence[Wanted | Within]

SETTLEMENT: Final[Plan] = (
    Wanted("SumVerifier"),
    Wanted("Settlement", (AddressOf("SumVerifier"),)),
    Within("StakeVault", by="Settlement", getter="vault"),
    Wanted("ModelRegistry", (AddressOf("Settlement"),)),
)
"""All that a programme needs, but its token."""


def deploy_all(
    endpoint: Endpoint, key: Signer, journal: Journal, plan: Plan = SETTLEMENT
) -> tuple[Deployed, ...]:
    """Deploy each contract of a plan, in order, once for each journal, and verify its code.

    The same plan again, after a crash or on another day, sends nothing that is there already.

    Raises:
        WrongContext: a plan names what is not deployed before, or the code that stands is not
            this version's.
        IllegalEvent: a constructor refuses.
        ChainUnavailable, FeeAboveCeiling, EndpointsDiffer, FolderHeld: as for `Endpoint.send`.
    """
    made: dict[str, Deployed] = {}
    for each in plan:
        if isinstance(each, Wanted):
            made[each.name] = _deployed(endpoint, key, journal, each, made)
        else:
            made[each.name] = _within(endpoint, each, made)
    return tuple(made.values())


def verify(endpoint: Endpoint, addresses: Mapping[str, str]) -> tuple[Deployed, ...]:
    """Return what stands at each address, by the names of the contracts that must stand there.

    It is asked of every endpoint, at the newest final block.

    Raises:
        WrongContext: the code at an address is not this version's contract of that name.
        EndpointsDiffer: two endpoints have different code there.
        ChainUnavailable: one does not answer.
    """
    return tuple(_verified(endpoint, name, address) for name, address in addresses.items())


def _deployed(
    endpoint: Endpoint,
    key: Signer,
    journal: Journal,
    wanted: Wanted,
    made: Mapping[str, Deployed],
) -> Deployed:
    libraries = {name: _address(made, wanted.name, name) for name in wanted.libraries}
    artefact = load(wanted.name).linked(libraries)
    arguments = [
        _address(made, wanted.name, each.name) if isinstance(each, AddressOf) else each
        for each in wanted.arguments
    ]
    call = endpoint.construction(artefact, *arguments)
    # What is deployed names its purpose: another version, or other arguments, are another.
    digest = sha256(bytes(HexBytes(call.data_in_transaction))).hexdigest()[:16]
    purpose = f"deploy-{wanted.name.lower()}-{digest}"
    receipt = endpoint.send(key, journal, purpose, call)
    return _stands(endpoint, artefact, str(receipt.contract), receipt)


def _within(endpoint: Endpoint, within: Within, made: Mapping[str, Deployed]) -> Deployed:
    other = endpoint.at(load(within.by), _address(made, within.name, within.by))
    address = str(endpoint.read(other.functions[within.getter]()))
    return _stands(endpoint, load(within.name), address, None)


def _stands(
    endpoint: Endpoint, artefact: Artefact, address: str, receipt: Receipt | None
) -> Deployed:
    with translated():
        code = bytes(endpoint.web3.eth.get_code(endpoint.at(artefact, address).address))
    _require(endpoint, artefact, address, code)
    transaction = receipt.transaction if receipt else None
    gas = receipt.gas if receipt else None
    return Deployed(artefact.contract, address.lower(), transaction, gas, keccak(code).hex())


def _verified(endpoint: Endpoint, name: str, address: str) -> Deployed:
    with translated():
        code = endpoint.finality.code(address)
    _require(endpoint, load(name), address, code)
    return Deployed(name, address.lower(), None, None, keccak(code).hex())


def _require(endpoint: Endpoint, artefact: Artefact, address: str, code: bytes) -> None:
    if not artefact.runs_as(code):
        raise WrongContext(
            f"the code at {address} on chain {endpoint.chain_id} is not that of "
            f"{artefact.contract} in this version; correct the address, or use the version that "
            "deployed it"
        )


def _address(made: Mapping[str, Deployed], by: str, name: str) -> str:
    if name not in made:
        raise WrongContext(f"{by} needs the address of {name}, which is not deployed before it")
    return checksummed(made[name].address)
