"""Register the models of rounds that have matured, in their order; anyone may."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from participant.settling.challenge import fields
from participant.settling.programme import Programme, Round, commit_of
from privacy.errors import WrongContext
from veilsum.chain.endpoint import Contract
from veilsum.chain.journal import Journal
from veilsum.chain.signing import Signer


class Version(msgspec.Struct, frozen=True):
    """A model that is registered: its number, its round, and what it cost."""

    version: int
    round: int
    model: str
    plan: str
    transaction: str
    gas: int


@dataclass(frozen=True)
class Registering:
    """A programme, its registry, and a key that pays for gas."""

    programme: Programme
    registry: Contract
    key: Signer
    journal: Journal

    def register(self) -> tuple[Version, ...]:
        """Register each round that has matured and is not registered; return those.

        Raises:
            IllegalEvent: the registry refuses.
            RootMismatch: the endpoint does not have what was committed so long ago.
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        return tuple(map(self._register, self._missing()))

    def _register(self, round_: Round) -> Version:
        commit = commit_of(self.programme, round_.number)
        call = self.registry.functions.register(fields(commit))
        purpose = f"register-{commit.digest().hex()}"
        sent = self.programme.endpoint.send(self.key, self.journal, purpose, call)
        (event,) = self.programme.endpoint.events(self.registry, "Registered", sent)
        number = int(event["version"])
        return Version(number, commit.round, commit.model, commit.plan, sent.transaction, sent.gas)

    def _missing(self) -> list[Round]:
        """Return the rounds that have matured since the newest version, the oldest first."""
        newest, now = self._newest(), self.programme.time()
        found = []
        for each in self._standing():
            if each.commit == newest:
                break
            if each.matures_at <= now:
                found.append(each)
        return found[::-1]

    def _standing(self) -> Iterator[Round]:
        number = self.programme.state().head
        while (found := self.programme.round(number)) is not None:
            yield found
            number = found.previous

    def _newest(self) -> bytes:
        """Return the commit of the newest version; zeros if there is none."""
        word, functions = self.programme.word, self.registry.functions
        count = int(self.programme.endpoint.read(functions.versions(word)))
        return bytes(self.programme.endpoint.read(functions.versionOf(word, count))[1])


def registry_at(programme: Programme, address: str) -> Contract:
    """Return the registry at an address.

    Raises:
        WrongContext: it is not this release's, or of another settlement.
        ChainUnavailable: the endpoint does not answer.
    """
    registry = programme.endpoint.deployed("ModelRegistry", address)
    of = str(programme.endpoint.read(registry.functions.settlement()))
    if of != programme.settlement.address:
        raise WrongContext(f"the registry at {address} is of another settlement, {of.lower()}")
    return registry
