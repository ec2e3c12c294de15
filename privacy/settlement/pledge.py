"""What a seat pledges: that the key of its bond answers for the roots it has stated.

A pledge is signed twice. The seat's own key, which the roster has, says which account answers for
it; the account's key signs each root by EIP-712, so that a chain can be shown who said what.
Judges take a pledge of an earlier round where a seat that lied makes none: the account answers
for all that its seat states in that programme from then on.
"""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import MalformedMessage, RootMismatch, WrongContext, WrongIdentity
from privacy.identifiers import Digest, ParticipantId
from privacy.records import Record, SeatSum
from privacy.signing import Purpose, sign

from .commitment import seat_sum_digest, typed_seat_sum
from .payouts import Address, Domain
from .typed import SignTyped

LARGEST_PLEDGE: Final = 1 << 12
"""Bytes; every pledge is smaller."""

SignerOf = Callable[[bytes, bytes], str]
"""Returns the address whose key has signed 32 bytes, given those and the signature.

Raises InvalidSignature if no key has.
"""

Signature = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{130}\Z")]
"""r, s, and 27 or 28, in hexadecimal."""


class SignedRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root of a seat's sum of one component, signed by the key of an account."""

    component: Annotated[int, msgspec.Meta(ge=0, le=2)]
    root: Digest
    signature: Signature


class Pledge(Record, frozen=True, forbid_unknown_fields=True):
    """A seat's word that an account answers for what it states in a programme.

    Attributes:
        plan, cohort: digests, as in the statement that it goes with.
        domain: where the account has its bond.
        account: its address.
        roots: of the sums of the seat's two components, as stated.
    """

    plan: Digest
    cohort: Digest
    seat: ParticipantId
    domain: Domain
    account: Address
    roots: tuple[SignedRoot, SignedRoot]


def make(
    stated: SeatSum, domain: Domain, account: str, by_account: SignTyped, key: Ed25519PrivateKey
) -> Signed:
    """Return the pledge that goes with a statement of sums.

    Args:
        account: the address whose key `by_account` signs with.
        key: the seat's own.
    """

    def signed(component: int, root: str) -> SignedRoot:
        said = typed_seat_sum(domain, stated.round, component, bytes.fromhex(root))
        return SignedRoot(component, root, by_account(said).hex())

    first, second = (signed(each.component, each.root) for each in stated.sums)
    pledge = Pledge(
        federation=stated.federation,
        round=stated.round,
        plan=stated.plan,
        cohort=stated.cohort,
        seat=stated.seat,
        domain=domain,
        account=account.lower(),
        roots=(first, second),
    )
    body = canonical.encode(pledge)
    return Signed(body, {stated.seat: sign(key, Purpose.PLEDGE, body)})


def check(signed: Signed, seat: str, key: bytes, signer_of: SignerOf) -> Pledge:
    """Return what a seat pledges, if both its key and that of its account have signed it.

    Args:
        key: the seat's public key, as the roster has it.

    Raises:
        MalformedMessage: it is no pledge, or larger than any.
        InvalidSignature: one of the two keys has not signed it.
        WrongIdentity: it is another seat's.
    """
    if len(signed.body) > LARGEST_PLEDGE:
        raise MalformedMessage(f"a pledge of {len(signed.body)} bytes, more than {LARGEST_PLEDGE}")
    check_signer(signed, Purpose.PLEDGE, seat, key)
    pledge = canonical.decode(signed.body, Pledge)
    if pledge.seat != seat:
        raise WrongIdentity(f"a pledge of {pledge.seat}, signed by {seat}")
    for each in pledge.roots:
        _require_account(pledge, each, signer_of)
    return pledge


def require_goes_with(pledge: Pledge, stated: SeatSum) -> None:
    """Return if a pledge is for just what a seat has stated.

    Raises:
        WrongContext: it is of another round, plan, cohort or seat.
        RootMismatch: it is for other roots.
    """
    if _place(pledge) != _place(stated):
        raise WrongContext(
            f"round {pledge.round}: {pledge.seat} pledges for another round, plan or cohort than "
            "it has stated sums of"
        )
    pledged = [(each.component, each.root) for each in pledge.roots]
    if pledged != [(each.component, each.root) for each in stated.sums]:
        raise RootMismatch(
            f"round {pledge.round}: {pledge.seat} pledges for other roots than it has stated"
        )


def _place(said: Pledge | SeatSum) -> tuple[str, int, str, str, str]:
    return (said.federation, said.round, said.plan, said.cohort, said.seat)


def _require_account(pledge: Pledge, each: SignedRoot, signer_of: SignerOf) -> None:
    root = bytes.fromhex(each.root)
    digest = seat_sum_digest(pledge.domain, pledge.round, each.component, root)
    found = signer_of(digest, bytes.fromhex(each.signature))
    if found != pledge.account:
        raise WrongIdentity(
            f"round {pledge.round}: {pledge.seat} pledges account {pledge.account}, and {found} "
            f"has signed the root of component {each.component}"
        )
