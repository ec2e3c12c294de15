"""An append-only log as a tree: its root, and proofs that a row is in it and that it only grew.

    leaf   SHA-256(0x00 || row)
    node   SHA-256(0x01 || left || right)

Who has kept the root of an earlier size can be shown that all its rows are still there, in
order and unchanged, by a number of digests that grows with the logarithm of the size.

Source: RFC 6962, section 2.1 (hash), 2.1.1 (inclusion), 2.1.2 (consistency); RFC 9162,
section 2.1.4.2 (how consistency is verified).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from .errors import MalformedMessage, RootMismatch
from .merkle import inclusion_path, tree_root, verify_inclusion

_LEAF = b"\x00"
_NODE = b"\x01"
_DIGEST_BYTES = 32

EMPTY_ROOT = sha256(b"").digest()
"""The root of a log without rows."""


def leaf_hash(row: bytes) -> bytes:
    """Return the hash by which the tree holds a row."""
    return sha256(_LEAF + row).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, oldest first.

    Raises:
        MalformedMessage: a leaf of another length than 32 bytes.
    """
    return tree_root(leaves) if leaves else EMPTY_ROOT


def prove_inclusion(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` (from 0) is under the root of `leaves`.

    Raises:
        MalformedMessage: no such leaf, or one of another length than 32 bytes.
    """
    return inclusion_path(leaves, index)


def check_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return if `leaf` is number `index` of the `size` leaves under `root`.

    Raises:
        MalformedMessage: no such position, or a digest that is not 32 bytes.
        RootMismatch: the proof has another length or leads to another root.
    """
    verify_inclusion(leaf, index, size, proof, root)


def prove_consistency(leaves: Sequence[bytes], earlier: int) -> tuple[bytes, ...]:
    """Return the proof that the first `earlier` leaves are those of the tree of that size.

    Raises:
        MalformedMessage: more leaves than there are, or one that is not 32 bytes.
    """
    if not 0 <= earlier <= len(leaves):
        raise MalformedMessage(f"there are {len(leaves)} leaves, not {earlier}")
    if earlier in (0, len(leaves)):
        return ()
    return _subproof(leaves, earlier, whole=True)


def check_consistency(
    earlier: int, earlier_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Return if the log with `root` begins with all leaves of the one with `earlier_root`.

    Raises:
        MalformedMessage: sizes that do not rise, or a digest that is not 32 bytes.
        RootMismatch: the proof has another length or leads to other roots.
    """
    _require_rising(earlier, size)
    _require_digests((earlier_root, root, *proof))
    if earlier in (0, size):
        _require(not proof, "a proof without a step is expected")
        _require(earlier_root == (root if earlier else EMPTY_ROOT), "another log")
        return
    old, new = _roots(earlier, size, earlier_root, proof)
    _require((old, new) == (earlier_root, root), f"the log of {size} rows has another beginning")


@dataclass(frozen=True, slots=True)
class Log:
    """A log's tree as it grows: a digest for each bit of its size, and no more."""

    size: int = 0
    full: tuple[tuple[int, bytes], ...] = ()

    def add(self, row: bytes) -> "Log":
        """Return the log with one more row."""
        *full, (leaves, node) = *self.full, (1, leaf_hash(row))
        while full and full[-1][0] == leaves:
            node = _join(full.pop()[1], node)
            leaves *= 2
        return Log(self.size + 1, (*full, (leaves, node)))

    def root(self) -> bytes:
        """Return the root over all rows so far."""
        if not self.full:
            return EMPTY_ROOT
        *earlier, (_, root) = self.full
        for _, node in reversed(earlier):
            root = _join(node, root)
        return root


def log_of(rows: Iterable[bytes]) -> Log:
    """Return the log of `rows`, oldest first."""
    log = Log()
    for row in rows:
        log = log.add(row)
    return log


def _subproof(leaves: Sequence[bytes], earlier: int, *, whole: bool) -> tuple[bytes, ...]:
    # `whole`: the reader has this subtree's root already, since it is the earlier tree itself
    if earlier == len(leaves):
        return () if whole else (tree_root(leaves),)
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if earlier <= split:
        return (*_subproof(leaves[:split], earlier, whole=whole), tree_root(leaves[split:]))
    right = _subproof(leaves[split:], earlier - split, whole=False)
    return (*right, tree_root(leaves[:split]))


def _roots(earlier: int, size: int, known: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    # RFC 9162, 2.1.4.2: climb from the last node that both trees have whole.
    steps = list(proof)
    if earlier & (earlier - 1) == 0:
        steps.insert(0, known)  # the earlier tree is itself a node of the later one
    node, last = earlier - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    _require(bool(steps), "a proof without steps")
    old = new = steps[0]
    for step in steps[1:]:
        _require(last > 0, "a proof that is too long")
        if node & 1 or node == last:
            old, new = _join(step, old), _join(step, new)
            while node & 1 == 0 and node > 0:
                node, last = node >> 1, last >> 1
        else:
            new = _join(new, step)
        node, last = node >> 1, last >> 1
    _require(last == 0, "a proof that is too short")
    return old, new


def _join(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RootMismatch(f"consistency: {otherwise}")


def _require_rising(earlier: int, size: int) -> None:
    if not 0 <= earlier <= size:
        raise MalformedMessage(f"consistency of {earlier} rows with {size}: sizes must rise")


def _require_digests(nodes: Sequence[bytes]) -> None:
    if any(len(node) != _DIGEST_BYTES for node in nodes):
        raise MalformedMessage("a node of a tree has 32 bytes")
