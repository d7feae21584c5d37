"""Indexes of the prediction log on failures and on time.

Building them blocks writes to the log for as long as reading it once takes.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Few predictions fail: without their index a query for failures reads every month. Queries by
# `created_at` alone cannot use the primary key.
_INDEXES = """
CREATE INDEX predictions_failures ON predictions (id) WHERE status <> 'ok';
CREATE INDEX predictions_time ON predictions USING brin (created_at);
"""


def upgrade() -> None:
    op.execute(_INDEXES)


def downgrade() -> None:
    op.execute("DROP INDEX predictions_failures, predictions_time")
