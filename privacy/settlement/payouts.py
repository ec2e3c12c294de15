"""What participants earned, and the Merkle tree from which a contract pays it.

A leaf holds what a payee earned from the programme's beginning, so that many
rounds are one claim. It is salted, since amounts could be guessed from hashes, and
bound to chain, contract, programme and payee, so that it counts nowhere else. The
tree is that of OpenZeppelin's `merkle-tree`: leaves hashed twice and sorted, pairs
sorted before they are hashed, in a complete binary tree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from privacy.errors import MalformedMessage, MissingDependency, RootMismatch, UnsafeParameters
from privacy.learned import learned

LEAF_DOMAIN = b"veilsum/payout-leaf/2"
SCORE_DOMAIN = b"veilsum/score/1"
WORD = 32
AMOUNT_LIMIT = 1 << 256
PART_LIMIT = 1 << 128

Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{40}\Z")]
Word = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Amount = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,77})\Z")]


class Domain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where payouts count: chain, contract, programme."""

    chain_id: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]
    contract: Address
    programme: Word


class Entitlement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a payee needs to claim: its leaf's contents and the path to the root.

    It discloses this payee's total, and its score of that round, to whoever holds it, and
    nobody else's. A claim shows the total alone.
    """

    domain: Domain
    round: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]
    payee: Address
    cumulative: Amount
    salt: Word
    score: Amount
    earned: Amount
    entry_salt: Word
    proof: tuple[Word, ...]

    def __repr__(self) -> str:
        return f"Entitlement(round={self.round}, payee={self.payee!r})"

    def amount(self) -> int:
        """Return what the payee earned in all, in the token's smallest unit."""
        return int(self.cumulative)

    def entry(self) -> "ScoreEntry":
        """Return the score that the leaf commits to.

        Raises:
            UnsafeParameters: a number out of its range.
        """
        salt = bytes.fromhex(self.entry_salt)
        return ScoreEntry(self.round, int(self.score), int(self.earned), salt)

    def opened(self) -> bytes:
        """Return what the leaf's entry is the hash of, five words, right or not.

        Whoever committed to numbers that no entry may have is proved wrong by them.

        Raises:
            UnsafeParameters: a number that is no word of the ABI.
        """
        numbers = (self.round, int(self.score), int(self.earned))
        if max(numbers) >= AMOUNT_LIMIT:
            raise UnsafeParameters(f"round {self.round}: a score or an amount of 2^256 or more")
        return _entry_words(*numbers, bytes.fromhex(self.entry_salt))

    def leaf(self) -> bytes:
        """Return the leaf: 32 bytes. What its entry says may be out of range, as in `opened`.

        Raises:
            UnsafeParameters: a number that is no word of the ABI.
        """
        salt, entry = bytes.fromhex(self.salt), keccak256(self.opened())
        return leaf(self.domain, self.payee, self.amount(), salt, entry)

    def path(self) -> tuple[bytes, ...]:
        """Return the proof's siblings, from the leaf upwards: 32 bytes each."""
        return tuple(bytes.fromhex(sibling) for sibling in self.proof)


@dataclass(frozen=True, slots=True)
class PayoutTree:
    """A complete binary tree; node i has the children 2i + 1 and 2i + 2."""

    nodes: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """The root: 32 bytes."""
        return self.nodes[0]

    def proof(self, of: bytes) -> tuple[bytes, ...]:
        """Return the siblings from the leaf `of` to the root: 32 bytes each.

        Raises:
            RootMismatch: the tree has no such leaf.
        """
        leaves = (len(self.nodes) + 1) // 2
        try:
            position = self.nodes.index(of, len(self.nodes) - leaves)
        except ValueError:
            raise RootMismatch(f"no such leaf among the {leaves} of this tree") from None
        return tuple(self.nodes[_sibling(step)] for step in _climb(position))


def tree(leaves: Sequence[bytes]) -> PayoutTree:
    """Return the tree over `leaves`: at least one, 32 bytes each, no two the same.

    Source: OpenZeppelin, merkle-tree 1.0.8, `makeMerkleTree`.

    Raises:
        UnsafeParameters: no leaves, a leaf of another length, or one that stands twice.
    """
    if not leaves or len(set(leaves)) != len(leaves) or any(len(one) != WORD for one in leaves):
        raise UnsafeParameters(
            f"a payout tree of {len(leaves)} leaves, {len(set(leaves))} distinct"
        )
    inner = len(leaves) - 1
    nodes = [b""] * inner + sorted(leaves, reverse=True)
    for index in reversed(range(inner)):
        nodes[index] = _pair(nodes[2 * index + 1], nodes[2 * index + 2])
    return PayoutTree(tuple(nodes))


@dataclass(frozen=True, slots=True)
class ScoreEntry:
    """What one payee's score was in one round, and what it earned by it.

    A leaf has the hash only, so that a claim shows no score. Whoever has the salt can prove an
    amount that is not by the formula.

    Attributes:
        score: the payee's, not above the sum of all scores of the round.
        earned: `earned_by` of it, in the token's smallest unit.
        salt: 32 bytes, random, used for one entry only.

    Raises:
        UnsafeParameters: a number out of its range, or another salt.
    """

    round: int
    score: int
    earned: int
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        numbers = 0 <= self.round < 1 << 64 and 0 <= self.score < PART_LIMIT
        if not numbers or not 0 <= self.earned < PART_LIMIT or len(self.salt) != WORD:
            raise UnsafeParameters(
                f"an entry of round {self.round} with a salt of {len(self.salt)} bytes: scores "
                "and amounts are in [0, 2^128), salts have 32 bytes"
            )

    def encode(self) -> bytes:
        """Return the ABI encoding, five words; what a proof of a wrong payout opens."""
        return _entry_words(self.round, self.score, self.earned, self.salt)

    def digest(self) -> bytes:
        """Return the hash that stands in the leaf: 32 bytes."""
        return keccak256(self.encode())


def earned_by(score: int, budget: int, scores: int) -> int:
    """Return what `score` earns of `budget`: its part of the sum of all `scores`, rounded down.

    Nothing is earned where nobody has a score.

    Raises:
        UnsafeParameters: a negative number, or a score above the sum.
    """
    if budget < 0 or not 0 <= score <= scores:
        raise UnsafeParameters(f"a score of {score} of {scores} in all earns no part of {budget}")
    return budget * score // scores if scores else 0


def leaf(domain: Domain, payee: str, cumulative: int, salt: bytes, entry: bytes) -> bytes:
    """Return the leaf of one payout: keccak-256 twice over the ABI encoding, 32 bytes.

    Args:
        payee: 20-byte address as 0x and lowercase hexadecimal digits.
        cumulative: earned from the programme's beginning, in the token's smallest unit.
        salt: 32 bytes, random, used for one leaf only.
        entry: digest of the `ScoreEntry` of this round, 32 bytes.

    Raises:
        UnsafeParameters: the amount is not in [0, 2^256), or salt or entry is not 32 bytes.
    """
    if not 0 <= cumulative < AMOUNT_LIMIT or len(salt) != WORD or len(entry) != WORD:
        raise UnsafeParameters(
            f"a payout of {cumulative} with a salt of {len(salt)} and an entry of {len(entry)} "
            "bytes"
        )
    words = (
        keccak256(LEAF_DOMAIN),
        domain.chain_id.to_bytes(WORD, "big"),
        address_word(domain.contract),
        bytes.fromhex(domain.programme),
        address_word(payee),
        cumulative.to_bytes(WORD, "big"),
        salt,
        entry,
    )
    return keccak256(keccak256(b"".join(words)))


def check(entitlement: Entitlement, root: bytes) -> None:
    """Return if the tree with `root` (32 bytes) contains `entitlement`.

    Raises:
        RootMismatch: it does not; whoever issued the entitlement must issue another.
    """
    if not path_leads_to(entitlement.leaf(), entitlement.path(), root):
        raise RootMismatch(
            f"the payout of round {entitlement.round} for {entitlement.payee} is not under the "
            f"root {root.hex()[:16]}…; the coordinator must issue it again"
        )


def path_leads_to(leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether the siblings in `path` lead from `leaf` to `root`: 32 bytes each.

    Source: OpenZeppelin Contracts 5.7.0, `MerkleProof.processProof`.
    """
    node = leaf
    for sibling in path:
        node = _pair(node, sibling)
    return node == root


def amounts_by_participation(escrow: int, counts: Mapping[str, int]) -> dict[str, int]:
    """Return `escrow` divided in proportion to `counts`, by name, down to the last unit.

    Each gets the floor of its part; the units left over go, one each, to the largest
    fractions, and among equal ones to the first by name.

    Args:
        escrow: token units to divide, not negative.
        counts: rounds that each took part in, not negative, at least one above zero.

    Raises:
        UnsafeParameters: a negative number, or nobody took part.
    """
    total = sum(counts.values())
    if escrow < 0 or total <= 0 or min(counts.values()) < 0:
        raise UnsafeParameters(f"{escrow} units over {total} contributions cannot be divided")
    amounts = {name: escrow * count // total for name, count in counts.items()}
    fractions = sorted(counts, key=lambda name: (-(escrow * counts[name] % total), name))
    for name in fractions[: escrow - sum(amounts.values())]:
        amounts[name] += 1
    return amounts


def parse_address(text: str) -> Address:
    """Return `text`, an address in any letter case, in lowercase.

    Raises:
        MalformedMessage: not 0x and 40 hexadecimal digits.
    """
    try:
        return msgspec.convert(text.lower(), learned(Address))
    except msgspec.ValidationError:
        raise MalformedMessage(
            f"{text[:48]!r} is no address: 0x and 40 hexadecimal digits"
        ) from None


def address_word(address: str) -> bytes:
    """Return `address` as the ABI encodes it: 32 bytes, the first twelve zero."""
    return bytes.fromhex(parse_address(address)[2:]).rjust(WORD, b"\0")


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 digest of `data`, as Ethereum uses it: 32 bytes.

    Raises:
        MissingDependency: pycryptodome, of the extra `chain`, is not installed.
    """
    # Rounds run without a chain, and then without this package.
    try:
        from Crypto.Hash import keccak  # noqa: PLC0415
    except ImportError:
        raise MissingDependency(
            "payouts need pycryptodome: install veilsum with its extra `chain`"
        ) from None
    return bytes(keccak.new(data=data, digest_bits=256).digest())


def _entry_words(number: int, score: int, earned: int, salt: bytes) -> bytes:
    words = [each.to_bytes(WORD, "big") for each in (number, score, earned)]
    return b"".join((keccak256(SCORE_DOMAIN), *words, salt))


def _pair(left: bytes, right: bytes) -> bytes:
    return keccak256(min(left, right) + max(left, right))


def _climb(position: int) -> list[int]:
    steps = []
    while position > 0:
        steps.append(position)
        position = (position - 1) // 2
    return steps


def _sibling(position: int) -> int:
    return position + 1 if position % 2 else position - 1
