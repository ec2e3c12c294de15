"""The documents that were signed, by digest, and the coordinator's own signature.

What a round's state names by its digest is compared with it whenever it is read: nothing is
signed, or follows, from a document that was changed where it is stored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed, pack, unpack
from privacy.errors import (
    ConfigError,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    SchemaMismatch,
    UnsafeParameters,
)
from privacy.identifiers import COORDINATOR
from privacy.plan import Plan
from privacy.records import PURPOSES, Record, digest_of
from privacy.signing import Purpose, digest, public_bytes, sign, verify

from .ports import Store

NAMED_BY_DIGEST: Final[Mapping[str, Purpose]] = {
    "key": Purpose.KEY_RECORD,
    "candidates": Purpose.CANDIDATES,
    "verdict": Purpose.VERDICT,
    "cohort": Purpose.COHORT,
    "sum": Purpose.SUM,
    "model": Purpose.SEALED_MODEL,
    "release": Purpose.RELEASE,
}
"""Kinds of documents that are kept under the digest of what they say."""

_PLAN_SIGNATURE: Final = "plan-signature"


def names_none(_: int) -> str:
    """Return that a round names no plan yet."""
    return ""


@dataclass(frozen=True)
class Archive:
    """Keeps each document once, and the signatures on it one by one as they come.

    `named_plan` returns the digest of the plan that a round's state names, or nothing yet.
    """

    store: Store
    signing_key: Ed25519PrivateKey = field(repr=False)
    named_plan: Callable[[int], str] = names_none

    def keep(self, kind: str, name: str, signed: Signed) -> None:
        """Keep a document with the signatures it came with."""
        self.store.put_document(kind, name, pack(signed))

    def keep_signature(self, kind: str, name: str, signer: str, signature: bytes) -> None:
        """Keep one more signature on a document."""
        self.store.put_document(f"{kind}-signature-{name}", signer, signature)

    def document(self, kind: str, name: str) -> Signed:
        """Return a document with the signatures it came with.

        Raises:
            NotYet: it is not kept.
            ConfigError: it is not the one of that name; the database was changed, or is damaged.
        """
        return _named(kind, name, unpack(self.store.document(kind, name)))

    def all_of(self, kind: str) -> list[Signed]:
        """Return every document of a kind, in the order of their names."""
        return [unpack(body) for _, body in self.store.documents(kind)]

    def with_signatures(self, kind: str, name: str) -> Signed:
        """Return a document with every signature there is on it.

        Raises:
            NotYet: it is not kept.
            ConfigError: as for `document`.
        """
        return with_signatures(self.store, kind, name)

    def state(self, kind: str, record: Record) -> None:
        """Sign a record as the coordinator, and keep it."""
        self.keep(kind, digest_of(record), self.signed(record))

    def signed(self, record: Record) -> Signed:
        """Return a record with the coordinator's signature."""
        body = canonical.encode(record)
        return Signed(body, {COORDINATOR: self.sign(PURPOSES[type(record)], body)})

    def sign(self, purpose: Purpose, body: bytes) -> bytes:
        """Return the coordinator's signature."""
        return sign(self.signing_key, purpose, body)

    def plan(self, number: int) -> Plan:
        """Return the plan of a round.

        Raises:
            NotYet: it has none.
            ConfigError: it is not the one that the round's state names.
            SchemaMismatch: another version of the coordinator made it; no peer is to blame.
        """
        body = self._plan(number)
        try:
            return plans.unpack(body)
        except (MalformedMessage, UnsafeParameters) as error:
            raise SchemaMismatch(
                f"round {number}: its plan is of another version of the coordinator: {error}"
            ) from error

    def plan_parts(self, number: int) -> tuple[bytes, bytes]:
        """Return the two parts of a round's plan as they were kept: arithmetic and terms.

        Raises:
            NotYet: it has none.
            ConfigError: it is not the one that the round's state names.
        """
        return plans.parts(self._plan(number))

    def has_plan(self, number: int) -> bool:
        """Return whether a plan is kept for a round, which sites may have seen."""
        try:
            self.store.document("plan", str(number))
        except NotYet:
            return False
        return True

    def keep_plan(self, number: int, plan: Plan) -> None:
        """Keep the one plan of a round, and that this coordinator made it."""
        # Its signature first: a plan without one is nobody's, see `made_plan`.
        made = self.sign(Purpose.PLAN, bytes.fromhex(plan.digest()))
        self.store.put_document(f"{_PLAN_SIGNATURE}-{number}", plan.digest(), made)
        self.store.put_document("plan", str(number), plans.pack(plan))

    def made_plan(self, number: int) -> bool:
        """Return whether this coordinator made the plan that is kept for a round.

        Asked before the round's state names it: after that the state says which it is.
        """
        name = plans.digest_of(*self.plan_parts(number))
        own = public_bytes(self.signing_key)
        try:
            made = self.store.document(f"{_PLAN_SIGNATURE}-{number}", name)
            verify(own, Purpose.PLAN, bytes.fromhex(name), made)
        except (NotYet, InvalidSignature):
            return False
        return True

    def _plan(self, number: int) -> bytes:
        body, named = self.store.document("plan", str(number)), self.named_plan(number)
        if named and plans.digest_of(*plans.parts(body)) != named:
            raise _changed(f"the plan of round {number} is not the one that the round names")
        return body


def with_signatures(store: Store, kind: str, name: str) -> Signed:
    """Return a document in `store` with every signature there is on it.

    Raises:
        NotYet: it is not kept.
        ConfigError: it is not the one of that name; the database was changed, or is damaged.
    """
    signed = _named(kind, name, unpack(store.document(kind, name)))
    later = dict(store.documents(f"{kind}-signature-{name}"))
    return Signed(signed.body, {**signed.signatures, **later})


def _named(kind: str, name: str, signed: Signed) -> Signed:
    purpose = NAMED_BY_DIGEST.get(kind)
    if purpose is not None and digest(purpose, signed.body) != name:
        raise _changed(f"the {kind} {name[:16]}… says something else")
    return signed


def _changed(what: str) -> ConfigError:
    return ConfigError(
        f"the coordinator's database was changed, or is damaged: {what}; nothing is signed from "
        "it: stop the coordinator, find out who can write to it, and restore the newest backup"
    )
