"""A row for each chunk of a round's sum, so that a fold goes on where it was stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; a sum from before has no rows, and needs none."""
    op.create_table(
        "sum_chunks",
        sa.Column("round", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("chunk", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("inputs", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("round", "chunk", name="pk_sum_chunks"),
    )


def downgrade() -> None:
    """Drop the table; what it knew of an unfinished fold is found out by folding again."""
    op.drop_table("sum_chunks")
