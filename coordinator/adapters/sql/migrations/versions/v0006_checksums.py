"""Beside rows whose content nothing else vouches for: a digest of what they were."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = ("rounds", "effects", "documents", "uploads", "sum_chunks", "checkpoints")


def upgrade() -> None:
    """Add the column; rows from before have no digest, and are believed as they were."""
    for table in TABLES:
        op.add_column(table, sa.Column("checksum", sa.LargeBinary(32), nullable=True))


def downgrade() -> None:
    """Drop the column; a version without it believes every row."""
    for table in TABLES:
        with op.batch_alter_table(table) as changed:
            changed.drop_column("checksum")
