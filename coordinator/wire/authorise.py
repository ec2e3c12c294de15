"""Who may call what: the roles each method declares, checked on every call.

A caller is who its certificate says; its role is what the roster that members
admitted says. Neither is taken from a message.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor

from coordinator.members.rosters import Rosters
from privacy.errors import ConfigError, WrongIdentity
from privacy.identifiers import PeerIdentity
from privacy.roster import Member, Role, Roster
from veilsum.v1 import options_pb2 as options

Callers = frozenset[options.Caller.ValueType]
"""Roles, by their numbers in the protocol, of which a caller needs one."""


def required_callers(files: Iterable[FileDescriptor]) -> Mapping[str, Callers]:
    """Return the roles each method declares, by the method's full path.

    Raises:
        ConfigError: a method declares none; the server does not start.
    """
    callers = {}
    for file in files:
        for service in file.services_by_name.values():
            for method in service.methods:
                declared = frozenset(method.GetOptions().Extensions[options.caller])
                if not declared or options.CALLER_UNSPECIFIED in declared:
                    raise ConfigError(f"{method.full_name} declares no role that may call it")
                callers[f"/{service.full_name}/{method.name}"] = declared
    return callers


@dataclass(frozen=True)
class Permissions:
    """Decides whether a certified peer has one of the roles that a method asks for."""

    federation: str
    rosters: Rosters
    openers: tuple[str, ...]
    seats: tuple[str, ...] = ()

    def check(self, peer: PeerIdentity, callers: Callers) -> None:
        """Return if `peer` has one of the roles `callers` now.

        Raises:
            WrongIdentity: it has none of them; the message says what is missing.
            NotYet: members have not admitted a roster yet.
        """
        if peer.federation != self.federation or peer.role != "participant":
            raise WrongIdentity(f"{peer.uri} is no participant of {self.federation}")
        if options.CALLER_CERTIFIED not in callers:
            self._check_member(peer.id, callers, self.rosters.current())

    def _check_member(self, participant: str, callers: Callers, roster: Roster) -> None:
        member = roster.member(participant)
        if not self._roles(member) & callers:
            wanted = " or ".join(sorted(_word(each) for each in callers))
            raise WrongIdentity(f"{participant} is no {wanted} in roster version {roster.version}")

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
        return frozenset(found)


def _word(caller: options.Caller.ValueType) -> str:
    return options.Caller.Name(caller).removeprefix("CALLER_").lower()
