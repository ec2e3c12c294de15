"""What `veilsum bench settlement` found: gas, by operation and number of participants."""

from collections.abc import Mapping

import msgspec

from .machine import Machine

Gas = dict[int, int]
"""By number of participants."""


class SettlementReport(msgspec.Struct, frozen=True, kw_only=True):
    """Gas of each operation, as a transaction of its own under Prague's prices.

    Attributes:
        rules: the chain's rule set.
        leaf_words: words that a challenge of a sum shows of each child.
        tree_depth: levels over all leaves of a contribution.
        commit_gas: the dearest of the commits of one programme.
        claim_gas_first: a payee's first claim, the very first of its programme.
        claim_gas_later: the same payee's next, the first after another round.
        challenge_gas: a wrong sum over two sums: the longest proof there is.
        challenge_bytes: of that proof.
        challenge_leaf_gas: a leaf that is not the contribution's own: hashes alone.
        demand_gas, answer_gas: of an inner node of a sum tree.
        once_gas: what does not depend on participants, by name.
        deploy_gas: by contract; the vault is deployed by the settlement, and in its figure.
    """

    rules: str
    leaf_words: int
    tree_depth: int
    commit_gas: Gas
    claim_gas_first: Gas
    claim_gas_later: Gas
    challenge_gas: Gas
    challenge_bytes: Gas
    challenge_leaf_gas: Gas
    demand_gas: Gas
    answer_gas: Gas
    once_gas: Mapping[str, int]
    deploy_gas: Mapping[str, int]
    machine: Machine
    seconds: float

    def participants(self) -> list[int]:
        """Return the numbers of participants, rising."""
        return sorted(self.commit_gas)
