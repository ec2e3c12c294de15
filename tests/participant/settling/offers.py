"""Offers of payouts, right ones and false ones, under commits that a test sends to a chain."""

from msgspec.structs import replace

from coordinator.settling.settle import Statement
from participant.settling.check import Offer
from privacy.settlement.payouts import Entitlement, tree

HOUR = 3600


def offer(made: Statement, index: int = 0, before: Entitlement | None = None) -> Offer:
    """What the coordinator offers one of the payees of a statement."""
    return Offer(made.entitlements[index], made.commit, before)


def with_leaf(made: Statement, false: Entitlement, index: int = 0) -> Statement:
    """A statement that commits to another leaf than the formula makes, and says so to its payee."""
    leaves = [*made.entitlements]
    leaves[index] = false
    payouts = tree(tuple(each.leaf() for each in leaves))
    commit = replace(
        made.commit,
        payouts=payouts.root.hex(),
        total=str(sum(each.amount() for each in leaves)),
    )
    paths = [tuple(map(bytes.hex, payouts.proof(each.leaf()))) for each in leaves]
    shown = [replace(each, proof=path) for each, path in zip(leaves, paths, strict=True)]
    return Statement(commit, tuple(shown))
