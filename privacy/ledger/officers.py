"""Two persons for a higher limit: one officer proposes, another one approves.

    site.toml ──────────────▶ written ─┐
                                       ├─▶ the lower of all, number by number, counts
    proposed ──another approves──▶ agreed ┘

The first policy that names officers is agreed as it is written. From then on the ledger
remembers them, whatever `site.toml` says: who may edit that file can lower a limit, and cannot
raise one above what is agreed. What a single officer proposes can lower one, too, at once. Who the
officers are, and which other datasets may begin a budget, is agreed in the same way: a new name
for the same data would be a new budget.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace as changed

from privacy import canonical, signing
from privacy.budget import SpendLimits
from privacy.errors import IllegalEvent, InvalidSignature
from privacy.identifiers import Digest, ParticipantId, sha256_hex
from privacy.signing import Purpose

from .rows import Approval, Row, SpendPolicy


@dataclass(frozen=True, slots=True)
class Standing:
    """The policies of a ledger: what `site.toml` said last, what is agreed, what is proposed.

    Attributes:
        proposed: rows that wait for a second officer, by their number.
    """

    written: SpendPolicy | None = None
    agreed: SpendPolicy | None = None
    proposed: Mapping[int, Row] = field(default_factory=lambda: MappingProxyType({}))

    def limits(self) -> SpendLimits | None:
        """Return the limits in force; None before any was recorded."""
        policies = [self.written, self.agreed, *(row.policy for row in self.proposed.values())]
        found: SpendLimits | None = None
        for policy in policies:
            if policy is not None:
                limits = limits_of(policy)
                found = limits if found is None else found.lower(limits)
        return found

    def officers(self) -> Mapping[str, str]:
        """Return the officers of whom two must agree, by name: their keys in hex."""
        return {} if self.agreed is None else self.agreed.officers

    def datasets(self) -> tuple[str, ...]:
        """Return the ids that officers have agreed may begin a budget of their own."""
        return () if self.agreed is None else self.agreed.datasets

    def check_dataset(self, name: str) -> None:
        """Return if a dataset `name` may begin a budget beside another one.

        Raises:
            IllegalEvent: officers stand behind the limits, and have not agreed to it.
        """
        if self.officers() and name not in self.datasets():
            raise IllegalEvent(
                f"dataset {name}: a new name has a new budget, and two of the officers "
                f"{_names(self.officers())} have not agreed to it"
            )

    def set(self, row: Row) -> "Standing":
        """Return the standing after a POLICY_SET.

        Raises:
            IllegalEvent: proposed by somebody who is no officer.
            InvalidSignature: not signed by its proposer.
        """
        policy = _policy(row)
        if policy.proposer is None:
            agreed = self.agreed if self.officers() else policy
            return replace(self, written=policy, agreed=agreed)
        check_proposal(row, self.officers())
        self.check_replaces(policy)
        return replace(self, proposed=MappingProxyType({**self.proposed, row.seq: row}))

    def check_replaces(self, policy: SpendPolicy) -> None:
        """Return if a policy that was signed apart from its row is to replace what is agreed.

        Raises:
            IllegalEvent: something else has been agreed since; it would undo that unseen.
        """
        if policy.replaces is not None and policy.replaces != policy_digest(self.agreed):
            raise IllegalEvent(
                f"what {policy.proposer} proposes was signed to replace another policy than the "
                "one that is agreed now; propose again"
            )

    def approve(self, approval: Approval) -> "Standing":
        """Return the standing after an APPROVAL; older proposals are void by it.

        Raises:
            IllegalEvent: nothing waits under that number, or who approves is no officer, or
                the one who proposed it.
            InvalidSignature: not a signature of that officer over that row.
        """
        proposal = self.proposal(approval.row)
        check_approval(proposal, approval, self.officers())
        return replace(self, agreed=_policy(proposal), proposed=MappingProxyType({}))

    def proposal(self, seq: int) -> Row:
        """Return the row of a policy that waits for a second officer.

        Raises:
            IllegalEvent: there is none under that number.
        """
        if seq not in self.proposed:
            raise IllegalEvent(f"row {seq}: no policy that waits for approval")
        return self.proposed[seq]


def limits_of(policy: SpendPolicy) -> SpendLimits:
    """Return the limits that a policy states."""
    return SpendLimits(
        policy.delta,
        policy.epsilon_for_life,
        policy.epsilon_per_round,
        policy.vector_epsilon_for_life,
        policy.vector_epsilon_per_round,
    )


def policy_of(
    limits: SpendLimits, officers: Mapping[str, str], datasets: Collection[str] = ()
) -> SpendPolicy:
    """Return limits in the form that rows have, proposed by nobody."""
    return SpendPolicy(
        delta=limits.delta,
        epsilon_for_life=limits.epsilon_for_life,
        epsilon_per_round=limits.epsilon_per_round,
        vector_epsilon_for_life=limits.vector_epsilon_for_life,
        vector_epsilon_per_round=limits.vector_epsilon_per_round,
        officers=dict(officers),
        datasets=tuple(sorted(datasets)),
    )


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a proposer signs who has no ledger at hand: the policy, and whose ledger it is for."""

    ledger: ParticipantId
    policy: SpendPolicy


def policy_digest(policy: SpendPolicy | None) -> Digest:
    """Return what names a policy to whoever wants to replace it: SHA-256; of nothing for None."""
    return sha256_hex(b"" if policy is None else canonical.encode(policy))


def wanted_bytes(ledger: ParticipantId, policy: SpendPolicy) -> bytes:
    """Return what a proposer signs whose policy says what it replaces."""
    return canonical.encode(Wanted(ledger, changed(policy, signature=None)))


def sign_wanted(ledger: ParticipantId, policy: SpendPolicy, key: Ed25519PrivateKey) -> SpendPolicy:
    """Return a policy that says what it replaces, with its proposer's signature."""
    assert policy.replaces is not None  # or it could be recorded again when it is long undone
    signature = signing.sign(key, Purpose.LEDGER_POLICY, wanted_bytes(ledger, policy))
    return changed(policy, signature=signature.hex())


def proposal_bytes(row: Row) -> bytes:
    """Return what proposer and approver sign: the row, without the proposer's signature.

    A proposer whose policy says what it replaces signs `wanted_bytes` instead.
    """
    return canonical.encode(changed(row, policy=changed(_policy(row), signature=None)))


def proposal_digest(row: Row) -> Digest:
    """Return what names a proposal to whoever approves it: SHA-256 of `proposal_bytes`."""
    return sha256_hex(proposal_bytes(row))


def sign_proposal(row: Row, key: Ed25519PrivateKey) -> Row:
    """Return a POLICY_SET with its proposer's signature."""
    signature = signing.sign(key, Purpose.LEDGER_POLICY, proposal_bytes(row))
    return changed(row, policy=changed(_policy(row), signature=signature.hex()))


def sign_approval(proposal: Row, officer: str, key: Ed25519PrivateKey) -> Approval:
    """Return an officer's consent to a POLICY_SET."""
    signature = signing.sign(key, Purpose.LEDGER_APPROVAL, proposal_bytes(proposal))
    return Approval(proposal.seq, officer, signing.public_bytes(key).hex(), signature.hex())


def check_proposal(row: Row, officers: Mapping[str, str]) -> None:
    """Return if a POLICY_SET is signed by the officer who proposes it.

    Raises:
        IllegalEvent: proposed by somebody who is no officer.
        InvalidSignature: not signed by its proposer.
    """
    policy = _policy(row)
    if policy.proposer is None or policy.proposer not in officers:
        raise IllegalEvent(f"{policy.proposer}: not one of the officers {_names(officers)}")
    if policy.signature is None:
        raise InvalidSignature(f"row {row.seq}: {policy.proposer} has not signed what it proposes")
    key, signature = officers[policy.proposer], bytes.fromhex(policy.signature)
    apart = policy.replaces is not None
    signed = wanted_bytes(row.ledger, policy) if apart else proposal_bytes(row)
    signing.verify(bytes.fromhex(key), Purpose.LEDGER_POLICY, signed, signature)


def check_approval(proposal: Row, approval: Approval, officers: Mapping[str, str]) -> None:
    """Return if another officer than the one who proposed a POLICY_SET approves it.

    Raises:
        IllegalEvent: who approves is no officer, or the one who proposed it.
        InvalidSignature: not a signature of that officer over that row.
    """
    proposer = _policy(proposal).proposer
    if officers.get(approval.officer) != approval.key:
        raise IllegalEvent(
            f"{approval.officer}: not one of the officers {_names(officers)}, or not with that key"
        )
    if approval.officer == proposer or approval.key == officers.get(proposer or ""):
        raise IllegalEvent(
            f"{approval.officer} proposed row {proposal.seq}: another officer approves it"
        )
    signature, signed = bytes.fromhex(approval.signature), proposal_bytes(proposal)
    signing.verify(bytes.fromhex(approval.key), Purpose.LEDGER_APPROVAL, signed, signature)


def _policy(row: Row) -> SpendPolicy:
    assert row.policy is not None  # check_members has seen to it
    return row.policy


def _names(officers: Mapping[str, str]) -> str:
    return f"({', '.join(sorted(officers)) or 'none'})"
