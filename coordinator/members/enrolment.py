"""Enrolment: whom the operator invites, who comes, and what the operator decides.

The coordinator enrols, members admit: whoever is approved here has a certificate and may stand in
a roster, which is nothing until members have signed it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from coordinator.ports import Issued, Store
from privacy import canonical
from privacy.enrolment import TOKEN_BYTES, Asked, Renewal, token_digest
from privacy.errors import InvitationRefused, MalformedMessage, VeilsumError
from privacy.failpoints import Step, pass_by
from privacy.identifiers import COORDINATOR, Digest, check_name
from privacy.roster import Member, Role, Roster
from privacy.sealing import Entropy

from . import invitations
from .invitations import Invitation, State
from .issuing import Issuing
from .rosters import Rosters

log = structlog.get_logger()

_LARGEST_ENTRY = 1 << 13


@dataclass(frozen=True)
class Operated:
    """A federation whose operator enrols its founding members, one by one."""

    federation: str
    coordinator_key: bytes
    operator: Member

    def over(self, store: Store) -> "Founding":
        """Return the draft that grows in a store."""
        return Founding(store, self)


@dataclass(frozen=True)
class Founding:
    """The draft of a roster that grows: its operator, and whoever was approved."""

    store: Store
    of: Operated

    def draft(self) -> Roster:
        """Return version 0 as it would be closed now."""
        entries = {each.participant: each for each in approved(self.store)}
        entries.setdefault(self.of.operator.participant, self.of.operator)
        members = tuple(entries[name] for name in sorted(entries))
        return Roster(self.of.federation, 0, self.of.coordinator_key, members)


@dataclass(frozen=True)
class Link:
    """What an invitation's link is made of; the token is nowhere else."""

    authority: Digest
    ends_at: int
    token: bytes = field(repr=False)


@dataclass
class Enrolment:
    """Invitations, one step at a time: each step is one transaction."""

    store: Store
    rosters: Rosters
    issuing: Issuing
    now: Callable[[], float]
    entropy: Entropy
    step: Step = pass_by
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def invite(self, by: str, participant: str, roles: Sequence[str], seconds: int) -> Link:
        """Make an invitation; an older one of the same member that is open is open no longer.

        Raises:
            MalformedMessage: no name, no role, or no time of at most 30 days.
        """
        wanted = _roles(roles)
        if check_name(participant) == COORDINATOR:
            raise MalformedMessage(f"no member may be called {COORDINATOR}")
        if not 0 < seconds <= invitations.LONGEST_SECONDS:
            raise MalformedMessage(
                f"an invitation lasts {seconds} s: from 1 s to {invitations.LONGEST_SECONDS} s"
            )
        authority = self.issuing.authority.fingerprint
        token, now = self.entropy(TOKEN_BYTES), self.now()
        made = Invitation(participant, wanted, by, int(now), int(now) + seconds)
        with self._turn:
            self._replace_older(participant, now)
            self.step("enrolment.before_invite")
            self.store.save_invitation(
                token_digest(token), None, participant, canonical.encode(made)
            )
        log.info("invitation_made", participant=participant, by=by, ends_at=made.ends_at)
        return Link(authority, made.ends_at, token)

    def all(self) -> list[Invitation]:
        """Return every invitation, by participant, oldest first."""
        found = [_decoded(each.body) for each in self.store.invitations()]
        return sorted(found, key=lambda each: (each.participant, each.made_at))

    def request(self, token: bytes, entry: bytes, request: str, proof: bytes) -> Invitation:
        """Return the invitation of whoever has its token, with its request, decided or not.

        Raises:
            InvitationRefused: there is none of that token, it has ended, was replaced, was used
                with other keys, or is for another name or other roles.
            MalformedMessage, WrongIdentity, InvalidSignature: what came is not what it must be.
        """
        try:
            return self._request(token, entry, request, proof)
        except VeilsumError as error:
            log.warning("enrolment_refused", code=error.code, reason=str(error))
            raise

    def decide(self, by: str, participant: str, approve: bool, words: str, reason: str) -> None:
        """Approve or refuse a member's request, if the words are those that it shows.

        Raises:
            NotYet: nobody has asked.
            InvitationRefused: there is no such invitation, the words are others, it was decided
                otherwise, or what it asks for cannot stand in the roster.
        """
        with self._turn:
            token, revision, found = self._newest(participant)
            wanted = State.APPROVED if approve else State.REFUSED
            decided = invitations.decide(found, wanted, words, by, reason, self.now())
            if decided == found:
                return
            issued: Issued | None = None
            with self.issuing.lock:
                if approve:
                    self._check_keys(_entry(found))
                    assert decided.asked is not None  # `decide` has looked
                    made, issued = self.issuing.first(participant, decided.asked.request)
                    decided = replace(decided, certificate=made.pem)
                self.step("enrolment.before_decide")
                body = canonical.encode(decided)
                self.store.save_invitation(token, revision, participant, body, issued)
                self.step("enrolment.after_decide")
        log.info("enrolment_decided", participant=participant, decision=str(wanted), by=by)
        if issued is not None:
            log.info("certificate_issued", participant=participant, serial=issued.serial)

    def revoke(self, by: str, participant: str, reason: str) -> None:
        """Shut out all that a member was certified with; invitations that are open end too.

        Raises:
            MalformedMessage: no reason is given, which stays for ever and members are told.
            WrongIdentity: there is no such member.
        """
        if not reason.strip():
            raise MalformedMessage("a revocation has a reason, which the member is told")
        self.known_key(participant)
        with self._turn, self.issuing.lock:
            self._replace_older(participant, self.now())
            self.step("enrolment.before_revoke")
            self.issuing.revocations.revoke(participant, reason, by)
            self.step("enrolment.after_revoke")
        log.warning("member_revoked", participant=participant, by=by, reason=reason)

    def renew_ended(self, participant: str, request: str, at_seconds: int, proof: bytes) -> str:
        """Return a new certificate, in PEM, for a member whose last one has ended.

        Raises:
            MalformedMessage, WrongIdentity, InvalidSignature, CertificateEnded,
                CertificateRevoked: it gets none.
        """
        try:
            fingerprint = self.issuing.authority.fingerprint
            renewal = Renewal(fingerprint, check_name(participant), request, at_seconds)
            return self.issuing.renew_ended(renewal, proof, self.known_key(participant))
        except VeilsumError as error:
            log.warning("renewal_refused", code=error.code, reason=str(error))
            raise

    def known_key(self, participant: str) -> bytes:
        """Return the signing key of a member: as last approved, or as the roster has it.

        Raises:
            WrongIdentity: there is no such member.
        """
        if (last := _approvals(self.store).get(participant)) is not None:
            return _entry(last).signing_key
        roster = self.rosters.current() if self.rosters.is_founded() else self.rosters.draft
        return roster.member(participant).signing_key

    def _request(self, token: bytes, entry: bytes, request: str, proof: bytes) -> Invitation:
        name = token_digest(token)
        asked = self._asked(name, entry, request)
        with self._turn:
            stored = self.store.invitation(name)
            if stored is None:
                raise InvitationRefused("there is no such invitation; ask the operator for a link")
            found = _decoded(stored.body)
            found.check_time(self.now())
            found.check_entry(asked)
            asked.check(proof)
            key = self.issuing.authority.check(request.encode(), asked.entry.participant)
            known = found.is_known(asked, key)
            if known and (found.decision is not None or found.asked == asked):
                return found
            self._check_keys(asked.entry)
            changed = invitations.ask(found, asked, key, asked.words(), self.now())
            self.step("enrolment.before_ask")
            self.store.save_invitation(
                name, stored.revision, stored.participant, canonical.encode(changed)
            )
            self.step("enrolment.after_ask")
        log.info("enrolment_asked", participant=changed.participant, key=key[:16])
        return changed

    def _asked(self, invitation: Digest, entry: bytes, request: str) -> Asked:
        if len(entry) > _LARGEST_ENTRY:
            raise MalformedMessage(f"an entry of {len(entry)} bytes, at most {_LARGEST_ENTRY}")
        member = canonical.decode(entry, Member)
        if len(request) > _LARGEST_ENTRY:
            raise MalformedMessage(f"a request of {len(request)} bytes, at most {_LARGEST_ENTRY}")
        return Asked(self.issuing.authority.fingerprint, invitation, member, request)

    def _check_keys(self, entry: Member) -> None:
        """Return if nobody else has one of the entry's keys: it could stand in no roster.

        Raises:
            InvitationRefused: somebody has.
        """
        roster = self.rosters.current() if self.rosters.is_founded() else self.rosters.draft
        others = [*roster.members, *approved(self.store)]
        taken = {roster.coordinator_key}
        for each in others:
            if each.participant != entry.participant:
                taken |= {each.signing_key, each.sealing_key}
        if taken & {entry.signing_key, entry.sealing_key}:
            raise InvitationRefused(
                f"{entry.participant} asks with a key that another member has; each makes its own"
            )

    def _replace_older(self, participant: str, now: float) -> None:
        for stored in self.store.invitations():
            found = _decoded(stored.body)
            mine = found.participant == participant
            if mine and found.state(now) in (State.OPEN, State.ASKED):
                body = canonical.encode(replace(found, replaced=True))
                self.store.save_invitation(stored.token, stored.revision, participant, body)

    def _newest(self, participant: str) -> tuple[Digest, int, Invitation]:
        mine = [each for each in self.store.invitations() if each.participant == participant]
        found = [(each.token, each.revision, _decoded(each.body)) for each in mine]
        standing = [each for each in found if not each[2].replaced]
        if not standing:
            raise InvitationRefused(f"nobody was invited as {participant[:63]}; invite it first")
        return max(standing, key=lambda each: (each[2].made_at, each[2].decision is None))


def approved(store: Store) -> list[Member]:
    """Return the newest approved entry of each member who was not shut out since, by name."""
    newest = _approvals(store)
    for each in store.revocations():
        if each.participant in newest and newest[each.participant].decided_at <= each.at:
            del newest[each.participant]
    return [_entry(newest[name]) for name in sorted(newest)]


def _approvals(store: Store) -> dict[str, Invitation]:
    newest: dict[str, Invitation] = {}
    for stored in store.invitations():
        found = _decoded(stored.body)
        held = newest.get(found.participant)
        if found.entry() and (held is None or held.decided_at <= found.decided_at):
            newest[found.participant] = found
    return newest


def _entry(invitation: Invitation) -> Member:
    assert invitation.asked is not None  # who looks for it has looked for that
    return invitation.asked.entry


def _decoded(body: bytes) -> Invitation:
    return canonical.decode(body, Invitation)


def _roles(words: Sequence[str]) -> tuple[Role, ...]:
    try:
        found = tuple(Role(word) for word in words)
    except ValueError:
        raise MalformedMessage(
            f"roles are {', '.join(Role)}, not {', '.join(words)[:200]}"
        ) from None
    if not found or len(set(found)) != len(found):
        raise MalformedMessage("a member has a role, and each role once")
    return found
