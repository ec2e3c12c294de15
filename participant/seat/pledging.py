"""A seat pledges for the sums it has stated, with the key of its bond; beside its rounds.

No round waits for a pledge, and a seat whose signer is away goes on. What was not taken is made
again, after a restart too, and has the same bytes: both signatures follow from what is signed.
"""

import asyncio
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.config import ProgrammeAccess
from participant.wire.patience import Patience
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import ConfigError, MissingDependency, Unavailable, VeilsumError
from privacy.records import SeatSum
from privacy.settlement.payouts import Domain
from privacy.settlement.pledge import SignDigest, make

from .memory import SeatMemory

log = structlog.get_logger()

LOOK_SECONDS: Final = 30.0
"""How often it is looked again, if nothing was stated: what was refused may be taken by then."""


@dataclass(frozen=True)
class Account:
    """The account that answers for a seat: where it has its bond, and what signs for it."""

    domain: Domain
    address: str
    sign: SignDigest = field(repr=False)


def account_of(settlement: ProgrammeAccess) -> Account:
    """Return the account that a seat's settings name; its keystore is opened.

    Raises:
        MissingDependency: web3 is not installed.
        InsecureKeyFile: others can read the key, or the passphrase does not open it.
        ConfigError: a file cannot be read, or the key is with a signer that signs no digests.
    """
    if find_spec("web3") is None:
        raise MissingDependency("settlement: web3 is not installed; install the extra `chain`")
    from veilsum.chain.digests import require_signs_digests, sign_digest  # noqa: PLC0415
    from veilsum.chain.endpoint import signer_of  # noqa: PLC0415  heavy, and an extra

    key = signer_of(settlement)
    require_signs_digests(key)
    domain = Domain(settlement.chain_id, settlement.contract.lower(), settlement.programme)
    return Account(domain, key.address.lower(), lambda digest: sign_digest(key, digest))


class Calls(Protocol):
    """Where pledges go, as `SeatCalls` has it."""

    async def put_pledge(self, pledge: Signed) -> None:
        """Hand in a pledge."""
        ...


@dataclass
class Pledging:
    """One seat's pledges.

    Attributes:
        key: the seat's own.
    """

    account: Account
    key: Ed25519PrivateKey = field(repr=False)
    memory: SeatMemory
    calls: Calls
    patience: Patience

    def __post_init__(self) -> None:
        self._stated = asyncio.Event()
        self._refused: set[int] = set()

    def wake(self) -> None:
        """Look at once: something was stated."""
        self._stated.set()

    async def run(self) -> None:
        """Pledge for all that is stated, for ever.

        Raises:
            ConfigError: this seat's memory is damaged.
        """
        while True:
            self._stated.clear()
            try:
                await self.pledge_all()
            except Unavailable as error:
                await self.patience.wait(error)
            else:
                self.patience.reset()
                await self._rest()

    async def pledge_all(self) -> None:
        """Hand in each pledge that was not taken yet, but those that were refused.

        Raises:
            Unavailable: one could not be handed in now; the others were, as far as possible.
        """
        late: Unavailable | None = None
        for number in self.memory.unpledged():
            if number in self._refused:
                continue
            try:
                await self._pledge(number)
            except ConfigError:
                raise
            except Unavailable as error:
                late = error
            except VeilsumError as error:
                # Until the next start: its operator may have put the settings right by then.
                self._refused.add(number)
                log.error("pledge_refused", round=number, code=error.code, reason=str(error))
        if late is not None:
            raise late

    async def _pledge(self, number: int) -> None:
        statement = self.memory.statement(number)
        assert statement is not None  # it is in the list of what was stated
        stated = canonical.decode(statement.body, SeatSum)
        account = self.account
        pledge = await asyncio.to_thread(
            make, stated, account.domain, account.address, account.sign, self.key
        )
        await self.calls.put_pledge(pledge)
        self.memory.pledged(number, pledge)
        log.info("pledged", round=number, account=account.address)

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._stated.wait(), LOOK_SECONDS)
        except TimeoutError:
            return
