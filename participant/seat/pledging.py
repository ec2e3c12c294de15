"""A seat pledges for the sums it has stated, with the key of its bond; beside its rounds.

No round waits for a pledge, and a seat whose signer is away goes on, and asks it again. What was
not taken is handed in again as it is; after a restart it is made again. Some signers never sign
the same twice: whoever takes pledges looks at what they promise.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Final, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.config import ProgrammeAccess
from participant.wire.patience import Patience
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    InvalidSignature,
    MissingDependency,
    Unavailable,
    VeilsumError,
)
from privacy.records import SeatSum
from privacy.settlement.payouts import Domain
from privacy.settlement.pledge import make
from privacy.settlement.typed import SignTyped

from .memory import SeatMemory

log = structlog.get_logger()

LOOK_SECONDS: Final = 30.0
"""How often it is looked again, if nothing was stated: what was refused may be taken by then."""


@dataclass(frozen=True)
class Account:
    """The account that answers for a seat: where it has its bond, and what signs for it."""

    domain: Domain
    address: str
    sign: SignTyped = field(repr=False)


def account_of(settlement: ProgrammeAccess) -> Account:
    """Return the account that a seat's settings name; a keystore is opened, no signer asked.

    Raises:
        MissingDependency: web3 is not installed.
        InsecureKeyFile: others can read the key, or the passphrase does not open it.
        ConfigError: a file cannot be read, or a signer's socket is anybody's.
    """
    if find_spec("web3") is None:
        raise MissingDependency("settlement: web3 is not installed; install the extra `chain`")
    from veilsum.chain.digests import sign_typed  # noqa: PLC0415  heavy, and an extra
    from veilsum.chain.endpoint import signer_of  # noqa: PLC0415  heavy, and an extra

    key = signer_of(settlement)
    domain = Domain(settlement.chain_id, settlement.contract.lower(), settlement.programme)
    return Account(domain, key.address.lower(), partial(sign_typed, key))


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
        self._made: dict[int, Signed] = {}

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
            except ChainUnavailable as error:
                await self.patience.wait(error)
                await self._rest()  # somebody may be asked there each time
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
        unsigned = False
        for number in self.memory.unpledged():
            if number in self._refused or (unsigned and number not in self._made):
                continue
            try:
                await self._pledge(number)
            except ConfigError:
                raise
            except ChainUnavailable as error:
                late, unsigned = error, True  # a signer that hangs is waited for once
            except Unavailable as error:
                late = error
            except VeilsumError as error:
                # Until the next start: its operator may have put the settings right by then.
                self._refused.add(number)
                log.error("pledge_refused", round=number, code=error.code, reason=str(error))
        if late is not None:
            raise late

    async def _pledge(self, number: int) -> None:
        if number not in self._made:
            self._made[number] = await asyncio.to_thread(self._sign, number)
        pledge = self._made[number]
        await self.calls.put_pledge(pledge)
        self.memory.pledged(number, pledge)
        del self._made[number]
        log.info("pledged", round=number, account=self.account.address)

    def _sign(self, number: int) -> Signed:
        statement = self.memory.statement(number)
        assert statement is not None  # it is in the list of what was stated
        stated, account = canonical.decode(statement.body, SeatSum), self.account
        try:
            return make(stated, account.domain, account.address, account.sign, self.key)
        except (ConfigError, InvalidSignature) as error:
            # The signer is wrong, and not the seat: once that is mended, the pledge is made.
            raise ChainUnavailable(f"round {number}: no pledge: {error}") from None

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._stated.wait(), LOOK_SECONDS)
        except TimeoutError:
            return
