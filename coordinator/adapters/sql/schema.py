"""The tables of the coordinator's database, as the newest revision has them.

Types are those that SQLite and PostgreSQL share. No column holds a chunk's bytes:
those are in the object store. The history of the tables is in `migrations`.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision that this version of Veilsum knows, oldest first; the last is the one it needs."""

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
}
"""How constraints are called: a later migration must know the name of what it changes."""

metadata = MetaData(naming_convention=NAMING)

# SQLite numbers rows by itself only where the type is INTEGER.
_serial = BigInteger().with_variant(Integer, "sqlite")


def _checksum() -> Column[bytes]:
    """Return the column that says what a row was; none where an older version wrote it."""
    return Column("checksum", LargeBinary(32), nullable=True)


rounds = Table(
    "rounds",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
    _checksum(),
)

effects = Table(
    "effects",
    metadata,
    Column("id", _serial, primary_key=True),
    Column("round", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _checksum(),
    ForeignKeyConstraint(["round"], ["rounds.number"]),
    # an id that was finished must never name another effect
    sqlite_autoincrement=True,
)

documents = Table(
    "documents",
    metadata,
    Column("kind", String(160), primary_key=True),
    Column("name", String(160), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    _checksum(),
)

uploads = Table(
    "uploads",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("participant", String(63), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("committed", Boolean, nullable=False),
    _checksum(),
)

chunks = Table(
    "chunks",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("participant", String(63), primary_key=True),
    Column("piece", Integer, primary_key=True, autoincrement=False),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("length", BigInteger, nullable=False),
    ForeignKeyConstraint(["round", "participant"], ["uploads.round", "uploads.participant"]),
)

sum_chunks = Table(
    "sum_chunks",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("inputs", Integer, nullable=False),
    _checksum(),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("participant", String(63), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", String(64), nullable=False),
    Column("header", LargeBinary, nullable=False),
    _checksum(),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("holder", String(63), nullable=False),
    Column("token", BigInteger, nullable=False),
    # seconds since 1970 by the database's clock, which is the only one that all replicas share
    Column("until", Double, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    # SHA-256 of the token, which itself is kept nowhere
    Column("token", String(64), primary_key=True),
    Column("participant", String(63), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _checksum(),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("participant", String(63), nullable=False, index=True),
    Column("key", String(64), nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
    _checksum(),
)

revocations = Table(
    "revocations",
    metadata,
    Column("id", _serial, primary_key=True),
    Column("participant", String(63), nullable=False),
    Column("reason", Text, nullable=False),
    Column("revoked_by", String(63), nullable=False),
    Column("at", Double, nullable=False),
    _checksum(),
    sqlite_autoincrement=True,
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", _serial, primary_key=True),
    Column("round", Integer, nullable=False, index=True),
    Column("participant", String(63), nullable=False),
    Column("what", Text, nullable=False),
    Column("held", String(64), nullable=False),
    Column("offered", String(64), nullable=False),
    Column("at", Double, nullable=False),
    sqlite_autoincrement=True,
)
