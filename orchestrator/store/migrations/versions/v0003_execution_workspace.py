"""A platform's own records of its trees."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade(prefix: str) -> None:
    words = sa.Text(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.Text()
    op.create_table(
        f"{prefix}execution_workspace",
        sa.Column("id", words, primary_key=True),
        sa.Column("company_id", words, nullable=False),
        sa.Column("mode", words, nullable=False),
        sa.Column("strategy", words, nullable=False),
        sa.Column("config", words, nullable=False),
        sa.Column("metadata", words, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
