"""The first schema: rounds and their effects, documents, uploads, chunks, refusals."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the six tables."""
    op.create_table(
        "rounds",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_rounds"),
    )
    op.create_table(
        "effects",
        sa.Column("id", _serial, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_effects"),
        sa.ForeignKeyConstraint(["round"], ["rounds.number"], name="fk_effects_rounds"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "documents",
        sa.Column("kind", sa.String(160), nullable=False),
        sa.Column("name", sa.String(160), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name="pk_documents"),
    )
    op.create_table(
        "uploads",
        sa.Column("round", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("participant", sa.String(63), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("header", sa.LargeBinary, nullable=False),
        sa.Column("committed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("round", "participant", name="pk_uploads"),
    )
    op.create_table(
        "chunks",
        sa.Column("round", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("participant", sa.String(63), nullable=False),
        sa.Column("piece", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("chunk", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("round", "participant", "piece", "chunk", name="pk_chunks"),
        sa.ForeignKeyConstraint(
            ["round", "participant"],
            ["uploads.round", "uploads.participant"],
            name="fk_chunks_uploads",
        ),
    )
    op.create_table(
        "refusals",
        sa.Column("id", _serial, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("participant", sa.String(63), nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("held", sa.String(64), nullable=False),
        sa.Column("offered", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refusals"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_refusals_round", "refusals", ["round"])


def downgrade() -> None:
    """Drop the six tables and all they hold."""
    for table in ("refusals", "chunks", "uploads", "documents", "effects", "rounds"):
        op.drop_table(table)
