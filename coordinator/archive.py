"""The documents that were signed, by digest, and the coordinator's own signature."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed, pack, unpack
from privacy.errors import MalformedMessage, SchemaMismatch, UnsafeParameters
from privacy.identifiers import COORDINATOR
from privacy.plan import Plan
from privacy.records import PURPOSES, Record, digest_of
from privacy.signing import Purpose, sign

from .ports import Store


@dataclass(frozen=True)
class Archive:
    """Keeps each document once, and the signatures on it one by one as they come."""

    store: Store
    signing_key: Ed25519PrivateKey = field(repr=False)

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
        """
        return unpack(self.store.document(kind, name))

    def all_of(self, kind: str) -> list[Signed]:
        """Return every document of a kind, in the order of their names."""
        return [unpack(body) for _, body in self.store.documents(kind)]

    def with_signatures(self, kind: str, name: str) -> Signed:
        """Return a document with every signature there is on it.

        Raises:
            NotYet: it is not kept.
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
            SchemaMismatch: another version of the coordinator made it; no peer is to blame.
        """
        try:
            return plans.unpack(self.store.document("plan", str(number)))
        except (MalformedMessage, UnsafeParameters) as error:
            raise SchemaMismatch(
                f"round {number}: its plan is of another version of the coordinator: {error}"
            ) from error

    def plan_parts(self, number: int) -> tuple[bytes, bytes]:
        """Return the two parts of a round's plan as they were kept: arithmetic and terms.

        Raises:
            NotYet: it has none.
        """
        return plans.parts(self.store.document("plan", str(number)))

    def has_plan(self, number: int) -> bool:
        """Return whether a plan is kept for a round, which sites may have seen."""
        return str(number) in dict(self.store.documents("plan"))

    def keep_plan(self, number: int, plan: Plan) -> None:
        """Keep the one plan of a round."""
        self.store.put_document("plan", str(number), plans.pack(plan))


def with_signatures(store: Store, kind: str, name: str) -> Signed:
    """Return a document in `store` with every signature there is on it.

    Raises:
        NotYet: it is not kept.
    """
    signed = unpack(store.document(kind, name))
    later = dict(store.documents(f"{kind}-signature-{name}"))
    return Signed(signed.body, {**signed.signatures, **later})
