"""A company's leases, newest first, without looking at another's."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade(prefix: str) -> None:
    op.create_index(f"{prefix}lease_company", f"{prefix}lease", ["company_id", "id"])
