"""Who may call what: the role each method declares, checked on every call.

A caller is who its certificate says; its role is what the roster that members
admitted says. Neither is taken from a message.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor

from privacy.errors import ConfigError, WrongIdentity
from privacy.identifiers import PeerIdentity
from privacy.roster import Role, Roster
from veilsum.v1 import options_pb2 as options

from .rosters import Rosters


def required_callers(files: Iterable[FileDescriptor]) -> Mapping[str, int]:
    """Return the role each method declares, by the method's full path.

    Raises:
        ConfigError: a method declares none; the server does not start.
    """
    roles = {}
    for file in files:
        for service in file.services_by_name.values():
            for method in service.methods:
                role = method.GetOptions().Extensions[options.caller]
                if role == options.CALLER_UNSPECIFIED:
                    raise ConfigError(f"{method.full_name} declares no role that may call it")
                roles[f"/{service.full_name}/{method.name}"] = role
    return roles


@dataclass(frozen=True)
class Permissions:
    """Decides whether a certified peer has the role that a method asks for."""

    federation: str
    rosters: Rosters
    openers: tuple[str, ...]

    def check(self, peer: PeerIdentity, role: int) -> None:
        """Return if `peer` has `role` now.

        Raises:
            WrongIdentity: it has not; the message says what is missing.
            NotYet: members have not admitted a roster yet.
        """
        if peer.federation != self.federation or peer.role != "participant":
            raise WrongIdentity(f"{peer.uri} is no participant of {self.federation}")
        if role != options.CALLER_CERTIFIED:
            self._check_member(peer.id, role, self.rosters.current())

    def _check_member(self, participant: str, role: int, roster: Roster) -> None:
        member = roster.member(participant)
        if role == options.CALLER_MEMBER:
            return
        if Role.TRAINER not in member.roles:
            raise WrongIdentity(f"{participant} is no trainer in roster version {roster.version}")
        if role == options.CALLER_OPENER and participant not in self.openers:
            raise WrongIdentity(f"{participant} is no opener")
