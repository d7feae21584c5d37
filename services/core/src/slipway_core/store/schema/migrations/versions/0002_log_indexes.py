"""Indexes of the prediction log: its failures, and its time.

While they are built nothing is written to the log: that takes as long as reading it once.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Few predictions fail: without an index of those, whoever looks for some reads every month.
# Other queries of the log go by `created_at` alone, of which the primary key knows nothing.
_INDEXES = """
CREATE INDEX predictions_failures ON predictions (id) WHERE status <> 'ok';
CREATE INDEX predictions_time ON predictions USING brin (created_at);
"""


def upgrade() -> None:
    op.execute(_INDEXES)


def downgrade() -> None:
    op.execute("DROP INDEX predictions_failures, predictions_time")
