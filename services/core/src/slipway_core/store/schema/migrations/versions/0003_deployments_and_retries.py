"""The deployment of each prediction; sizes and retries of jobs; leases that chunks have lost.

Building the indexes blocks writes to the log for as long as reading it once takes.
"""

from __future__ import annotations

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Existing rows get the first default, which takes no time. The second one is for servers of the
# release before, which insert rows without a deployment until they are replaced.
_DEPLOYMENT = """
ALTER TABLE predictions ADD COLUMN deployment text NOT NULL DEFAULT '{existing}';
ALTER TABLE predictions ALTER COLUMN deployment SET DEFAULT '';
"""

# Servers read the log of their own deployment only, in the order of ids.
_CHANGES = """
DROP INDEX predictions_failures;
CREATE INDEX predictions_deployment ON predictions (deployment, id);
CREATE INDEX predictions_failures ON predictions (deployment, id) WHERE status <> 'ok';
ALTER TABLE batch_jobs
    ADD COLUMN input_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN retries integer NOT NULL DEFAULT 0;
CREATE INDEX batch_jobs_open ON batch_jobs (queue) WHERE state IN ('queued', 'running');
ALTER TABLE batch_chunks ADD COLUMN lost integer NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    existing = context.config.attributes.get("deployment", "")
    op.execute(_DEPLOYMENT.format(existing=existing.replace("'", "''")))
    op.execute(_CHANGES)


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX predictions_deployment, predictions_failures, batch_jobs_open;
        ALTER TABLE predictions DROP COLUMN deployment;
        CREATE INDEX predictions_failures ON predictions (id) WHERE status <> 'ok';
        ALTER TABLE batch_jobs DROP COLUMN input_bytes, DROP COLUMN retries;
        ALTER TABLE batch_chunks DROP COLUMN lost;
        """
    )
