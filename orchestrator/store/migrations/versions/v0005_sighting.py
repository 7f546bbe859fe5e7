"""Places that a sweep saw and that belong to no lease."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade(prefix: str) -> None:
    words = sa.Text(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.Text()
    op.create_table(
        f"{prefix}sighting",
        sa.Column("driver", words, primary_key=True),
        sa.Column("place", words, primary_key=True),
        sa.Column("key", words, nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger()),
    )
