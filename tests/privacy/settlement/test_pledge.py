"""A pledge binds a seat, an account and two roots: each of them by a signature."""

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    RootMismatch,
    WrongContext,
    WrongIdentity,
)
from privacy.settlement.pledge import Pledge, check, require_goes_with
from tests.participant import pledged
from veilsum.chain.digests import signer_of_digest


def key(seat: str = pledged.LIAR) -> bytes:
    return pledged.roster().member(seat).signing_key


def checked(signed: Signed, seat: str = pledged.LIAR) -> Pledge:
    return check(signed, seat, key(seat), signer_of_digest)


def stated(seat: int = 1):
    return pledged.round_of().stated[seat].statement


def test_a_pledge_says_which_account_answers_for_which_roots() -> None:
    """Those that the seat has stated, in the programme of its settings."""
    pledge = checked(pledged.pledge())

    require_goes_with(pledge, stated())

    assert (pledge.account, pledge.domain) == (pledged.ACCOUNT.address.lower(), pledged.HERE)
    assert [each.root for each in pledge.roots] == [each.root for each in stated().sums]


def test_the_account_signs_what_other_peoples_tools_would_have_it_sign() -> None:
    """EIP-712, by eth-account's own encoder: a contract could be shown it."""
    pledge = checked(pledged.pledge())

    for each in pledge.roots:
        message = encode_typed_data(
            full_message={
                "domain": {
                    "name": "Veilsum",
                    "version": "1",
                    "chainId": pledged.HERE.chain_id,
                    "verifyingContract": pledged.HERE.contract,
                },
                "primaryType": "SeatSum",
                "types": {
                    "EIP712Domain": [
                        {"name": "name", "type": "string"},
                        {"name": "version", "type": "string"},
                        {"name": "chainId", "type": "uint256"},
                        {"name": "verifyingContract", "type": "address"},
                    ],
                    "SeatSum": [
                        {"name": "programme", "type": "bytes32"},
                        {"name": "round", "type": "uint64"},
                        {"name": "component", "type": "uint8"},
                        {"name": "root", "type": "bytes32"},
                    ],
                },
                "message": {
                    "programme": bytes.fromhex(pledged.HERE.programme),
                    "round": 1,
                    "component": each.component,
                    "root": bytes.fromhex(each.root),
                },
            }
        )
        found = Account.recover_message(message, signature=bytes.fromhex(each.signature))
        assert found == pledged.ACCOUNT.address


def test_the_same_is_pledged_each_time() -> None:
    """A pledge that was sent before a crash is sent again with the same bytes."""
    assert pledged.pledge() == pledged.pledge()


def _root(signed: Signed) -> dict[str, object]:
    first, second = canonical.decode(signed.body, Pledge).roots
    return {"roots": (msgspec.structs.replace(first, root="ab" * 32), second)}


@pytest.mark.parametrize(
    "fields",
    [
        lambda _: {"account": "0x" + "ab" * 20},
        lambda _: {"round": 2},
        lambda _: {"domain": msgspec.structs.replace(pledged.HERE, programme="71" * 32)},
        lambda _: {"domain": msgspec.structs.replace(pledged.HERE, chain_id=1)},
        _root,
    ],
    ids=["account", "round", "programme", "chain", "root"],
)
def test_what_the_account_has_not_signed_is_refused(fields) -> None:
    """A seat alone cannot make another account answer for it, nor that account for other roots."""
    signed = pledged.pledge()

    with pytest.raises(WrongIdentity, match="has signed the root of component"):
        checked(pledged.changed(signed, **fields(signed)))


def test_what_the_seat_has_not_signed_is_refused() -> None:
    """Its own key, for a pledge."""
    signed = pledged.pledge()
    body = signed.body

    with pytest.raises(InvalidSignature):
        checked(Signed(body, {pledged.LIAR: bytes(64)}))
    with pytest.raises(InvalidSignature):
        checked(Signed(body, {pledged.HONEST: signed.signatures[pledged.LIAR]}))
    framed = pledged.changed(pledged.pledge(0), seat=pledged.LIAR)
    with pytest.raises(WrongIdentity, match="a pledge of fern, signed by elm"):
        checked(framed, pledged.HONEST)


def test_a_pledge_for_something_else_does_not_go_with_a_statement() -> None:
    pledge = checked(pledged.pledge())

    first, second = stated().sums
    sums = (first, msgspec.structs.replace(second, root="ab" * 32))
    with pytest.raises(RootMismatch, match="other roots"):
        require_goes_with(pledge, msgspec.structs.replace(stated(), sums=sums))
    for other in ({"cohort": "ab" * 32}, {"plan": "ab" * 32}, {"round": 2}, {"seat": "elm"}):
        with pytest.raises(WrongContext, match="another round, plan or cohort"):
            require_goes_with(pledge, msgspec.structs.replace(stated(), **other))


def test_what_is_no_pledge_is_refused_unread() -> None:
    with pytest.raises(MalformedMessage, match="more than 4096"):
        checked(Signed(bytes(5000), {}))


def test_a_pledge_is_small() -> None:
    """Three of them fit where a page of text does."""
    assert len(pledged.pledge().body) < 1500
