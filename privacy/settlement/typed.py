"""What is signed for a chain, described once: digest and JSON come from the same members.

    member   a type, a name and a value: the word that is hashed, and the text that is shown
    struct   a name and its members in order
    digest   keccak-256(0x19 0x01 || hash of the domain || hash of the message), by EIP-712
    JSON     types, primaryType, domain and message, of which a signer makes the same digest

Numbers are shown in decimal text: as JSON numbers some signers would round them.

Source: EIP-712, "Definition of encodeData" and "Specification of the eth_signTypedData JSON RPC".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from privacy.errors import MalformedMessage

from . import abi
from .payouts import Domain, address_word, keccak256

_TYPED: Final = b"\x19\x01"
_ADDRESS_BYTES: Final = 20
_NAME, _VERSION = "Veilsum", "1"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a struct.

    Attributes:
        kind: its type, in Solidity's words.
        word: what of its value is hashed, 32 bytes.
        shown: its value as JSON has it.
    """

    kind: str
    name: str
    word: bytes
    shown: str


def number(bits: int, name: str, value: int) -> Member:
    """Return a whole number of so many bits.

    Raises:
        MalformedMessage: it is negative, or larger.
    """
    if not 0 <= value < 1 << bits:
        raise MalformedMessage(f"{name}: {value} is no number of {bits} bits")
    return Member(f"uint{bits}", name, abi.uint(value), str(value))


def word(name: str, value: bytes) -> Member:
    """Return 32 bytes.

    Raises:
        MalformedMessage: they are fewer, or more.
    """
    if len(value) != abi.WORD:
        raise MalformedMessage(f"{name}: {len(value)} bytes where {abi.WORD} were due")
    return Member("bytes32", name, value, "0x" + value.hex())


def address(name: str, value: str) -> Member:
    """Return the address of an account or a contract."""
    padded = address_word(value)
    return Member("address", name, padded, "0x" + padded[-_ADDRESS_BYTES:].hex())


def text(name: str, value: str) -> Member:
    """Return a text, of which the hash is hashed."""
    return Member("string", name, keccak256(value.encode()), value)


@dataclass(frozen=True, slots=True)
class Struct:
    """A name and members: what a contract hashes of it, and what JSON says of it."""

    name: str
    members: tuple[Member, ...]

    def hash(self) -> bytes:
        """Return its hash: 32 bytes."""
        members = ",".join(f"{each.kind} {each.name}" for each in self.members)
        kind = keccak256(f"{self.name}({members})".encode())
        return keccak256(kind + b"".join(each.word for each in self.members))

    def types(self) -> list[dict[str, str]]:
        """Return its members' names and types, as JSON."""
        return [{"name": each.name, "type": each.kind} for each in self.members]

    def values(self) -> dict[str, str]:
        """Return its members' values by their names, as JSON."""
        return {each.name: each.shown for each in self.members}


@dataclass(frozen=True, slots=True)
class TypedData:
    """A struct to be signed, with the chain and the contract where the signature counts."""

    domain: Struct
    message: Struct

    def digest(self) -> bytes:
        """Return what is signed: 32 bytes."""
        return keccak256(_TYPED + self.domain.hash() + self.message.hash())

    def document(self) -> dict[str, Any]:
        """Return the JSON by which a signer is asked."""
        return {
            "types": {each.name: each.types() for each in (self.domain, self.message)},
            "primaryType": self.message.name,
            "domain": self.domain.values(),
            "message": self.message.values(),
        }


SignTyped = Callable[[TypedData], bytes]
"""Returns the signature of an account's key: r, s, and 27 or 28, 65 bytes."""


def domain_struct(domain: Domain) -> Struct:
    """Return the chain and the contract that a signature is bound to.

    Source: EIP-712, "Definition of domainSeparator".
    """
    return Struct(
        "EIP712Domain",
        (
            text("name", _NAME),
            text("version", _VERSION),
            number(256, "chainId", domain.chain_id),
            address("verifyingContract", domain.contract),
        ),
    )


def typed(domain: Domain, name: str, round_number: int, *members: Member) -> TypedData:
    """Return what is signed about a round: its programme and number, and then `members`."""
    place = (
        word("programme", bytes.fromhex(domain.programme)),
        number(64, "round", round_number),
    )
    return TypedData(domain_struct(domain), Struct(name, (*place, *members)))
