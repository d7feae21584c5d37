"""The prediction log, and batch jobs with their chunks, items and results."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE predictions (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    request_id text NOT NULL,
    model text NOT NULL,
    version text NOT NULL,
    model_digest text NOT NULL,
    modality text NOT NULL,
    status text NOT NULL,
    input jsonb,
    prediction jsonb,
    embedding real[],
    latency_ms double precision NOT NULL,
    tokens integer NOT NULL,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

CREATE TABLE batch_jobs (
    id uuid PRIMARY KEY,
    queue text NOT NULL,
    state text NOT NULL,
    model text NOT NULL,
    version text NOT NULL,
    model_digest text NOT NULL,
    modality text NOT NULL,
    labels jsonb NOT NULL,
    parameters jsonb NOT NULL,
    idempotency_key text,
    request_digest bytea NOT NULL,
    total integer NOT NULL,
    succeeded integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    deadline timestamptz,
    reason text,
    webhook_url text,
    webhook_attempts integer NOT NULL DEFAULT 0,
    webhook_next_at timestamptz,
    webhook_delivered_at timestamptz,
    webhook_error text,
    CONSTRAINT batch_jobs_state CHECK (state IN
        ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled', 'expired'))
);
CREATE UNIQUE INDEX batch_jobs_key ON batch_jobs (queue, idempotency_key);
CREATE INDEX batch_jobs_deadline ON batch_jobs (deadline)
    WHERE state IN ('queued', 'running') AND deadline IS NOT NULL;
CREATE INDEX batch_jobs_webhook ON batch_jobs (webhook_next_at) WHERE webhook_next_at IS NOT NULL;

CREATE TABLE batch_chunks (
    job_id uuid NOT NULL REFERENCES batch_jobs (id) ON DELETE CASCADE,
    chunk integer NOT NULL,
    queue text NOT NULL,
    first_index integer NOT NULL,
    count integer NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    attempt integer NOT NULL DEFAULT 0,
    lease_token uuid,
    available_at timestamptz NOT NULL DEFAULT now(),
    rings integer NOT NULL DEFAULT 1,
    rung_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, chunk),
    CONSTRAINT batch_chunks_state CHECK (state IN ('waiting', 'running', 'done', 'cancelled'))
);
CREATE INDEX batch_chunks_open ON batch_chunks (queue, job_id, chunk)
    WHERE state IN ('waiting', 'running');

CREATE TABLE batch_items (
    job_id uuid NOT NULL,
    idx integer NOT NULL,
    input jsonb NOT NULL,
    tokens integer NOT NULL,
    PRIMARY KEY (job_id, idx)
) PARTITION BY RANGE (job_id);

CREATE TABLE batch_results (
    job_id uuid NOT NULL,
    idx integer NOT NULL,
    prediction jsonb,
    embedding real[],
    error_code text,
    error_message text,
    attempts integer NOT NULL,
    PRIMARY KEY (job_id, idx)
) PARTITION BY RANGE (job_id);
"""


def upgrade() -> None:
    op.execute(_TABLES)


def downgrade() -> None:
    op.execute(
        "DROP TABLE batch_results, batch_items, batch_chunks, batch_jobs, predictions CASCADE"
    )
