"""Nothing is changed: rounds have seats by now, in states that an older version cannot read.

So that it refuses the database by the number of its schema, and does not fail in the middle.
"""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Change nothing; what is kept of rounds without seats is what it was."""


def downgrade() -> None:
    """Change nothing; rounds that the version before has begun are as it left them."""
