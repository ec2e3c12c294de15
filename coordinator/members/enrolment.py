"""Enrolment: whom the operator invites, who comes, and what the operator decides.

The coordinator enrols, members admit: whoever is approved here has a certificate and may stand in
a roster, which is nothing until members have signed it.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Final

import structlog
from msgspec.structs import replace

from coordinator.ports import Issued, Store, StoredInvitation
from privacy import canonical
from privacy.enrolment import TOKEN_BYTES, Asked, Proven, Renewal, token_digest
from privacy.errors import (
    InvalidSignature,
    InvitationRefused,
    MalformedMessage,
    RosterRefused,
    VeilsumError,
    WrongIdentity,
)
from privacy.failpoints import Step, pass_by
from privacy.identifiers import COORDINATOR, Digest, check_name
from privacy.roster import (
    Member,
    Role,
    Roster,
    check_operator,
    check_operators,
    check_sealing_key,
)
from privacy.sealing import Entropy
from privacy.signing import Purpose, verify

from . import invitations
from .invitations import Invitation, State
from .issuing import Issuing
from .rosters import Rosters, removed_after, versions_in

log = structlog.get_logger()

_LARGEST_ENTRY = 1 << 13

PAGE: Final = 32
"""Invitations in one answer: each with an entry and a certificate request of 8 KiB."""

_DIGITS: Final = 12

_REVOKED_KEY: Final = "revoked-key"

_REVOKED: Final = (
    "{} asks with keys that were revoked, by which whoever has copied them would come back with "
    "it; join with a new folder for its state, which makes new ones"
)

_NO_KEY: Final = (
    "nothing can be sealed to the key that {} asks with: the models would reach nobody; join with "
    "a new folder for its state, which makes new keys"
)

_NOBODYS: Final = (3).to_bytes(32, "little")
"""Stands for the key of a name that nobody has: no signature is good under it."""

Place = tuple[str, int, Digest]
"""Where an invitation stands among all: by participant, time, and the digest of its token."""


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
class Page:
    """Invitations that one answer has room for, and where the next page begins; "" if nowhere."""

    invitations: tuple[Invitation, ...]
    next: str


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
            RosterRefused: an operator's role, and another that does not go with it; or the name of
                who operates now, in another role.
        """
        wanted = _roles(participant, roles)
        self._check_still_operates(participant, wanted)
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

    def page(self, after: str = "") -> Page:
        """Return the next invitations, by participant, oldest first.

        Args:
            after: what the page before has said; "" for the first.

        Raises:
            MalformedMessage: no page has said that.
        """
        place = _place(after)
        stored = [each for each in self.store.invitations() if each.participant >= place[0]]
        later = (each for each in _in_order(stored) if each[0] > place)
        found = list(islice(later, PAGE + 1))
        more = len(found) > PAGE
        last = "/".join(map(str, found[PAGE - 1][0])) if more else ""
        return Page(tuple(each for _, each in found[:PAGE]), last)

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
                    self._check_entry(_entry(found))
                    assert decided.asked is not None  # `decide` has looked
                    made, issued = self.issuing.first(participant, decided.asked.request)
                    decided = replace(decided, certificate=made.pem, under=self._version())
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
            WrongIdentity: there is no such member; or it is who asks, or the last operator.
        """
        if not reason.strip():
            raise MalformedMessage("a revocation has a reason, which the member is told")
        self.known_key(participant)
        if participant == by:
            raise WrongIdentity(f"{by}: nobody shuts itself out; another operator does")
        with self._turn, self.issuing.lock:
            self._check_leaves_an_operator(participant)
            self._replace_older(participant, self.now())
            self.step("enrolment.before_revoke")
            # First: a crash in between leaves keys that nobody may ask with, and no one let in.
            shut_out_keys(self.store, participant)
            self.issuing.revocations.revoke(participant, reason, by)
            self.step("enrolment.after_revoke")
        log.warning("member_revoked", participant=participant, by=by, reason=reason)

    def renew(
        self, participant: str, request: str, at_seconds: int, proof: bytes, begins_at: float
    ) -> str:
        """Return a new certificate, in PEM, for a member that calls with one.

        Raises:
            MalformedMessage, WrongIdentity, InvalidSignature, CertificateRevoked: it gets none.
        """
        try:
            fingerprint = self.issuing.authority.fingerprint
            renewal = Renewal(fingerprint, check_name(participant), request, at_seconds)
            return self.issuing.renew(renewal, proof, self.known_key(participant), begins_at)
        except VeilsumError as error:
            log.warning("renewal_refused", code=error.code, reason=str(error))
            raise

    def renew_ended(self, participant: str, request: str, at_seconds: int, proof: bytes) -> str:
        """Return a new certificate, in PEM, for a member whose last one has ended.

        Raises:
            MalformedMessage, WrongIdentity, InvalidSignature, CertificateEnded, NotYet,
                CertificateRevoked: it gets none.
        """
        try:
            fingerprint = self.issuing.authority.fingerprint
            renewal = Renewal(fingerprint, check_name(participant), request, at_seconds)
            key = self._key_of_anybody(participant)
            _check_signed(renewal, key, proof)
            return self.issuing.renew_ended(renewal, proof, key)
        except VeilsumError as error:
            log.warning("renewal_refused", code=error.code, reason=str(error))
            raise

    def known_key(self, participant: str) -> bytes:
        """Return the signing key of a member: as last approved, or as the roster has it.

        Raises:
            WrongIdentity: there is no such member, or members have taken it out of the roster
                since it was approved.
        """
        if (last := _approvals(self.store, participant).get(participant)) is not None:
            return _entry(last).signing_key
        return self._roster().member(participant).signing_key

    def _roster(self) -> Roster:
        return self.rosters.current() if self.rosters.is_founded() else self.rosters.draft

    def _key_of_anybody(self, participant: str) -> bytes:
        """Return a member's signing key, or one that nobody has: strangers learn no names."""
        try:
            return self.known_key(participant)
        except WrongIdentity:
            return _NOBODYS

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
            self._check_tls_key(asked.entry.participant, key)
            known = found.is_known(asked, key)
            if known and (found.decision is not None or found.asked == asked):
                return found
            self._check_entry(asked.entry)
            changed = invitations.ask(found, Proven(asked, proof), key, asked.words(), self.now())
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

    def _check_entry(self, entry: Member) -> None:
        """Return if an entry could stand in a roster beside everybody else's.

        Raises:
            InvitationRefused: another member has one of its keys, nothing can be sealed to its own,
                or it would be an auditor of an operator's organisation, or the other way round.
        """
        try:
            check_sealing_key(entry)
        except MalformedMessage:
            raise InvitationRefused(_NO_KEY.format(entry.participant)) from None
        roster = self._roster()
        known = [*roster.members, *approved(self.store)]
        others = [each for each in known if each.participant != entry.participant]
        try:
            for each in others:
                check_operators((each, entry))
        except RosterRefused as error:
            raise InvitationRefused(str(error)) from None
        taken = {roster.coordinator_key}
        for each in others:
            taken |= {each.signing_key, each.sealing_key}
        if taken & {entry.signing_key, entry.sealing_key}:
            raise InvitationRefused(
                f"{entry.participant} asks with a key that another member has; each makes its own"
            )
        revoked = {name for name, _ in self.store.documents(_REVOKED_KEY)}
        if revoked & _keys(entry):
            raise InvitationRefused(_REVOKED.format(entry.participant))

    def _check_still_operates(self, participant: str, roles: Sequence[Role]) -> None:
        mine = (each for each in self._roster().members if each.participant == participant)
        if any(Role.OPERATOR in each.roles for each in mine) and Role.OPERATOR not in roles:
            raise RosterRefused(
                f"{participant} operates this coordinator, and would do so no longer; invite the "
                "other member under a name of its own"
            )

    def _check_tls_key(self, participant: str, key: str) -> None:
        revoked = self.issuing.revocations.of(participant)
        certified = self.store.certificates(participant) if revoked else []
        if any(each.key == key and revoked and each.issued_at <= revoked.at for each in certified):
            raise InvitationRefused(_REVOKED.format(participant))

    def _version(self) -> int:
        return self.rosters.current().version if self.rosters.is_founded() else -1

    def _check_leaves_an_operator(self, participant: str) -> None:
        """Return if an operator is left who could let anybody in again."""
        roster = self.rosters.current() if self.rosters.is_founded() else self.rosters.draft
        operators = {each.participant for each in roster.members if Role.OPERATOR in each.roles}
        if participant in operators and not any(map(self._counts, operators - {participant})):
            raise WrongIdentity(
                f"{participant} is the last operator that is not shut out; invite another one first"
            )

    def _counts(self, participant: str) -> bool:
        """Return whether a certificate of a member counts, which was issued here."""
        revoked = self.issuing.revocations.of(participant)
        known = self.store.certificates(participant)
        return revoked is None or bool(known and known[-1].issued_at > revoked.at)

    def _replace_older(self, participant: str, now: float) -> None:
        end_open(self.store, now, participant)

    def _newest(self, participant: str) -> tuple[Digest, int, Invitation]:
        mine = [each for each in self.store.invitations() if each.participant == participant]
        found = [(each.token, each.revision, _decoded(each.body)) for each in mine]
        standing = [each for each in found if not each[2].replaced]
        if not standing:
            raise InvitationRefused(f"nobody was invited as {participant[:63]}; invite it first")
        return max(standing, key=lambda each: (each[2].made_at, each[2].decision is None))


def end_open(store: Store, now: float, participant: str = "") -> None:
    """End the invitations that are not decided, of one member or of everybody."""
    for stored in store.invitations():
        found = _decoded(stored.body)
        wanted = participant in ("", found.participant)
        if wanted and found.state(now) in (State.OPEN, State.ASKED):
            body = canonical.encode(replace(found, replaced=True))
            store.save_invitation(stored.token, stored.revision, found.participant, body)


def approved(store: Store) -> list[Member]:
    """Return the newest approved entry of each member who was not shut out since, by name."""
    newest = _approvals(store)
    for each in store.revocations():
        if each.participant in newest and newest[each.participant].decided_at <= each.at:
            del newest[each.participant]
    return [_entry(newest[name]) for name in sorted(newest)]


def revoked_keys(store: Store, participant: str) -> set[str]:
    """Return the keys, in hex, that a member was ever approved with, or stands in a roster with."""
    entries = [_decoded(each.body).entry() for each in store.invitations()]
    for signed in versions_in(store):
        entries.extend(signed.roster.members)
    mine = [each for each in entries if each is not None and each.participant == participant]
    return {key for each in mine for key in _keys(each)}


def shut_out_keys(store: Store, participant: str) -> None:
    """Keep, for good, which keys a member had: nobody is enrolled with one of them again."""
    for key in sorted(revoked_keys(store, participant)):
        store.put_document(_REVOKED_KEY, key, b"")


def _check_signed(renewal: Renewal, key: bytes, proof: bytes) -> None:
    try:
        verify(key, Purpose.RENEW, renewal.body(), proof)
    except InvalidSignature:
        # The same for a name that nobody has: who is a member is not for strangers.
        raise InvalidSignature(
            f"{renewal.participant}: no member has signed this request; renew with its own keys"
        ) from None


def _keys(entry: Member) -> set[str]:
    return {entry.signing_key.hex(), entry.sealing_key.hex()}


def proven(store: Store) -> dict[str, Proven]:
    """Return what each member that was approved has asked and signed, the newest of it, by name."""
    found = {name: each.proven() for name, each in _approvals(store).items()}
    return {name: each for name, each in found.items() if each is not None}


def _approvals(store: Store, of: str = "") -> dict[str, Invitation]:
    """Return each member's newest approval, except of whom members have taken out since."""
    newest: dict[str, Invitation] = {}
    for stored in store.invitations():
        if of and stored.participant != of:
            continue  # whoever asks for one, without a certificate perhaps, has no others decoded
        found = _decoded(stored.body)
        held = newest.get(found.participant)
        if found.entry() and (held is None or _decided(held) <= _decided(found)):
            newest[found.participant] = found
    removed = removed_after(store)
    return {n: each for n, each in newest.items() if n not in removed or each.under > removed[n]}


def _decided(invitation: Invitation) -> tuple[int, float]:
    return invitation.under, invitation.decided_at


def _entry(invitation: Invitation) -> Member:
    assert invitation.asked is not None  # who looks for it has looked for that
    return invitation.asked.entry


def _in_order(stored: Sequence[StoredInvitation]) -> Iterator[tuple[Place, Invitation]]:
    """Yield invitations with their places; those of a member are read when its turn comes."""
    for participant, group in groupby(stored, key=attrgetter("participant")):
        found = [(each.token, _decoded(each.body)) for each in group]
        placed = [((participant, one.made_at, token), one) for token, one in found]
        yield from sorted(placed, key=itemgetter(0))


def _place(text: str) -> Place:
    if not text:
        return ("", 0, "")
    participant, _, rest = text.partition("/")
    made_at, _, token = rest.partition("/")
    if not (made_at.isdecimal() and made_at.isascii() and len(made_at) <= _DIGITS):
        raise MalformedMessage("no page of invitations begins there; begin with the first")
    return (participant, int(made_at), token)


def _decoded(body: bytes) -> Invitation:
    return canonical.decode(body, Invitation)


def _roles(participant: str, words: Sequence[str]) -> tuple[Role, ...]:
    try:
        found = tuple(Role(word) for word in words)
    except ValueError:
        raise MalformedMessage(
            f"roles are {', '.join(Role)}, not {', '.join(words)[:200]}"
        ) from None
    if not found or len(set(found)) != len(found):
        raise MalformedMessage("a member has a role, and each role once")
    check_operator(participant[:63], found)
    return found
