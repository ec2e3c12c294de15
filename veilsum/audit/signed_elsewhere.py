"""Limits that officers sign on machines of their own: the site's host never sees their keys.

    site   draft_proposal, or draft_approval ──▶ a file, unsigned
    officer   difference, sign ──▶ the file, signed; no ledger and no network is needed
    site   submit ──▶ a row

A file says what is agreed and what is wanted, and its signature covers the digest of both: an
operator who shows an officer something else than what is there has it signed for nothing.
"""

from pathlib import Path
from typing import TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from coordinator.keys import load_signing_key
from participant.config import SiteConfig
from privacy.errors import ConfigError, IllegalEvent, InvalidSignature
from privacy.identifiers import ParticipantId, sha256_hex
from privacy.learned import learned
from privacy.ledger import (
    Approval,
    Name,
    Row,
    SpendPolicy,
    check_approval,
    policy_digest,
    proposal_digest,
    sign_approval,
    sign_wanted,
)
from privacy.ledger.officers import wanted_bytes
from privacy.signing import public_bytes
from veilsum.files import read_file, write_durably

from .budget import Change, Clock, Limits, agreed_in, difference, limits_after, opened, wanted_of


class Proposal(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="proposal"
):
    """What an officer wants instead of what is agreed; `policy` names the officer."""

    ledger: ParticipantId
    agreed: SpendPolicy
    policy: SpendPolicy


class Consent(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="approval"
):
    """A proposal as the ledger has it, for another officer to approve."""

    agreed: SpendPolicy
    proposal: Row
    officer: Name
    approval: Approval | None = None


Paper: TypeAlias = Proposal | Consent


def draft_proposal(site: SiteConfig, officer: str, change: Change, clock: Clock) -> Proposal:
    """Return what an officer wants, to be signed elsewhere.

    Raises:
        ConfigError: no ledger, no officers, or `officer` is none of them.
    """
    with opened(site, clock, officer) as ledger:
        agreed = agreed_in(ledger, site, officer)
        wanted = wanted_of(agreed, site, change)
        named = replace(wanted, proposer=officer, replaces=policy_digest(agreed))
        return Proposal(site.participant, agreed, named)


def draft_approval(site: SiteConfig, row: int, officer: str, clock: Clock) -> Consent:
    """Return what is proposed in a row, for another officer to sign elsewhere.

    Raises:
        ConfigError: no ledger, nothing waits in that row, or `officer` is none.
    """
    with opened(site, clock, officer) as ledger:
        agreed = agreed_in(ledger, site, officer)
        return Consent(agreed, ledger.state().standing.proposal(row), officer)


def write(paper: Paper, path: Path) -> None:
    """Write a file to be carried to an officer, or back.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    write_durably(path, msgspec.json.format(msgspec.json.encode(paper)) + b"\n")


def read(path: Path) -> Paper:
    """Return what is in such a file.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    try:
        paper: Paper = msgspec.json.decode(read_file(path), type=learned(Proposal | Consent))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no proposal and no approval: {error}") from None
    return paper


def words_of(paper: Paper) -> str:
    """Return in words what an officer would sign, and the digest that names it."""
    return f"{difference(paper.agreed, _policy(paper))}\nproposal {digest_in(paper)}"


def digest_in(paper: Paper) -> str:
    """Return what names the proposal in a file."""
    if isinstance(paper, Proposal):
        return sha256_hex(wanted_bytes(paper.ledger, paper.policy))
    return proposal_digest(paper.proposal)


def sign(paper: Paper, key_file: Path) -> Paper:
    """Return the file with an officer's signature in it; no ledger is needed.

    Raises:
        ConfigError: what it says is agreed is not what the proposal replaces, or the key is not
            that of the officer whom it names.
    """
    key = load_signing_key(key_file)
    if isinstance(paper, Proposal):
        return replace(paper, policy=_signed(paper, key))
    _check_key(paper.officer, paper.agreed, key)
    approval = sign_approval(paper.proposal, paper.officer, key)
    try:
        check_approval(paper.proposal, approval, paper.agreed.officers)
    except (IllegalEvent, InvalidSignature) as error:
        raise ConfigError(str(error)) from None
    return replace(paper, approval=approval)


def submit(site: SiteConfig, paper: Paper, clock: Clock) -> Limits:
    """Record what an officer has signed elsewhere.

    Raises:
        ConfigError: it is not signed, not by that officer, of another site, or something else was
            agreed since.
    """
    officer = _officer(paper)
    with opened(site, clock, officer) as ledger:
        agreed_in(ledger, site, officer)
        if isinstance(paper, Proposal):
            _require_signed(paper.policy.signature)
            row = ledger.propose_signed(paper.policy)
            proposal = ledger.state().standing.proposal(row)
            return limits_after(proposal, officer, ledger, approved=False)
        _require_signed(paper.approval)
        assert paper.approval is not None  # required above
        proposal = ledger.state().standing.proposal(paper.approval.row)
        ledger.approve_signed(paper.approval)
        return limits_after(proposal, officer, ledger, approved=True)


def _signed(paper: Proposal, key: Ed25519PrivateKey) -> SpendPolicy:
    if paper.policy.replaces != policy_digest(paper.agreed):
        raise ConfigError(
            "what the file says is agreed is not what the proposal replaces; ask for another file"
        )
    _check_key(paper.policy.proposer or "", paper.agreed, key)
    return sign_wanted(paper.ledger, paper.policy, key)


def _check_key(officer: str, agreed: SpendPolicy, key: Ed25519PrivateKey) -> None:
    if agreed.officers.get(officer) != public_bytes(key).hex():
        raise ConfigError(f"the file is for {officer}, and this is another key; nothing is signed")


def _require_signed(signature: object) -> None:
    if signature is None:
        raise ConfigError("the file is not signed; the officer signs it: veilsum budget sign")


def _policy(paper: Paper) -> SpendPolicy:
    policy = paper.policy if isinstance(paper, Proposal) else paper.proposal.policy
    if policy is None:
        raise ConfigError("the row in the file proposes nothing")
    return policy


def _officer(paper: Paper) -> str:
    return (paper.policy.proposer or "") if isinstance(paper, Proposal) else paper.officer
