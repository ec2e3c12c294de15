"""Who may call what: the roles each method declares, checked on every call.

A caller is who its certificate says; its role is what the roster that members
admitted says. Neither is taken from a message, or from what is sent beside one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.descriptor import FileDescriptor

from coordinator.members.rosters import Rosters
from privacy.errors import ConfigError, NotYet, WrongIdentity
from privacy.identifiers import PeerIdentity
from privacy.roster import Member, Role, Roster
from veilsum.v1 import options_pb2 as options

Callers = frozenset[options.Caller.ValueType]
"""Roles, by their numbers in the protocol, of which a caller needs one."""

ANYONE: Final[Callers] = frozenset({options.CALLER_ANYONE})
"""Declared by methods that look at no certificate; no role stands beside it."""

OPERATOR: Final[Callers] = frozenset({options.CALLER_OPERATOR})


def required_callers(files: Iterable[FileDescriptor]) -> Mapping[str, Callers]:
    """Return the roles each method declares, by the method's full path.

    Raises:
        ConfigError: a method declares none, or anyone and a role; the server does not start.
    """
    callers = {}
    for file in files:
        for service in file.services_by_name.values():
            for method in service.methods:
                declared = frozenset(method.GetOptions().Extensions[options.caller])
                if not declared or options.CALLER_UNSPECIFIED in declared:
                    raise ConfigError(f"{method.full_name} declares no role that may call it")
                if declared > ANYONE:
                    raise ConfigError(f"{method.full_name} declares a role, and anyone beside it")
                callers[f"/{service.full_name}/{method.name}"] = declared
    return callers


@dataclass
class Permissions:
    """Decides whether a certified peer has one of the roles that a method asks for."""

    federation: str
    rosters: Rosters
    openers: tuple[str, ...]
    seats: tuple[str, ...] = ()
    _known: tuple[Roster, dict[str, Callers]] | None = field(init=False, default=None)

    def check(self, peer: PeerIdentity, callers: Callers) -> None:
        """Return if `peer` has one of the roles `callers` now.

        Raises:
            WrongIdentity: it has none of them; the message says what is missing.
            NotYet: members have not admitted a roster yet.
        """
        if peer.federation != self.federation or peer.role != "participant":
            raise WrongIdentity(f"{peer.uri} is no participant of {self.federation}")
        if options.CALLER_CERTIFIED not in callers:
            self._check_member(peer.id, callers, self._roster(callers))

    def is_at_hand(self) -> bool:
        """Return whether `check` waits for no database."""
        return self.rosters.is_in_memory()

    def _roster(self, callers: Callers) -> Roster:
        try:
            return self.rosters.current()
        except NotYet:
            # Somebody must enrol the founding members: whom the draft names, and for that alone.
            if callers != OPERATOR:
                raise
            return self.rosters.draft

    def _check_member(self, participant: str, callers: Callers, roster: Roster) -> None:
        if not self._roles_in(roster, participant) & callers:
            wanted = " or ".join(sorted(_word(each) for each in callers)) or "caller of this"
            raise WrongIdentity(f"{participant} is no {wanted} in roster version {roster.version}")

    def _roles_in(self, roster: Roster, participant: str) -> Callers:
        # Asked before each message: looked up once for each roster.
        if self._known is None or self._known[0] is not roster:
            self._known = (roster, {})
        known = self._known[1]
        if participant not in known:
            known[participant] = self._roles(roster.member(participant))
        return known[participant]

    def _roles(self, member: Member) -> Callers:
        found = {options.CALLER_MEMBER}
        if Role.TRAINER in member.roles:
            found.add(options.CALLER_TRAINER)
            if member.participant in self.openers:
                found.add(options.CALLER_OPENER)
        elif Role.AUDITOR in member.roles:
            # Who trains may hold a cohort key, and must not be handed others' ciphertexts.
            found.add(options.CALLER_AUDITOR)
        elif member.roles == (Role.AGGREGATOR,) and member.participant in self.seats:
            # A seat has two components of each update, and must be handed no sealed sum.
            found.add(options.CALLER_SEAT)
        if Role.OPERATOR in member.roles:
            found.add(options.CALLER_OPERATOR)
        return frozenset(found)


def _word(caller: options.Caller.ValueType) -> str:
    return options.Caller.Name(caller).removeprefix("CALLER_").lower()
