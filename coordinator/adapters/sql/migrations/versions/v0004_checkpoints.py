"""A row for each participant: the newest header that it has signed, and its ledger's head then."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table; headers from before say nothing of a ledger, so it is empty."""
    op.create_table(
        "checkpoints",
        sa.Column("participant", sa.String(63), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("header", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("participant", name="pk_checkpoints"),
    )


def downgrade() -> None:
    """Drop the table; sites and their peers still know how far ledgers have come."""
    op.drop_table("checkpoints")
