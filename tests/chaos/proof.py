"""Queries that find what was lost or done twice. All of them must find nothing."""

from __future__ import annotations

from typing import LiteralString

import psycopg

QUERIES = {
    "accepted jobs that are lost": """
        SELECT count(*) FROM unnest(%(accepted)s::uuid[]) AS id
         WHERE NOT EXISTS (SELECT 1 FROM batch_jobs WHERE batch_jobs.id = id.id)""",
    "jobs that nobody was told of": """
        SELECT count(*) FROM batch_jobs WHERE id <> ALL(%(accepted)s::uuid[])""",
    "jobs that have not ended": """
        SELECT count(*) FROM batch_jobs WHERE state IN ('queued', 'running')""",
    "chunks that are still open": """
        SELECT count(*) FROM batch_chunks WHERE state IN ('waiting', 'running')""",
    "inputs that are lost": """
        SELECT coalesce(sum(abs(total - inputs)), 0) FROM batch_jobs JOIN LATERAL
               (SELECT count(*) AS inputs FROM batch_items WHERE job_id = id) AS stored ON true""",
    "inputs of complete jobs without a result": """
        SELECT count(*) FROM batch_jobs JOIN batch_items ON job_id = id
         WHERE state IN ('succeeded', 'partial', 'failed') AND NOT EXISTS
               (SELECT 1 FROM batch_results AS result
                 WHERE result.job_id = id AND result.idx = batch_items.idx)""",
    "results without an input": """
        SELECT count(*) FROM batch_results AS result WHERE NOT EXISTS
               (SELECT 1 FROM batch_items AS item
                 WHERE item.job_id = result.job_id AND item.idx = result.idx)""",
    "inputs with two results": """
        SELECT count(*) FROM (SELECT 1 FROM batch_results
                               GROUP BY job_id, idx HAVING count(*) > 1) AS repeated""",
    "results that were counted twice or not at all": """
        SELECT coalesce(sum(abs(succeeded - good) + abs(failed - bad)), 0)
          FROM batch_jobs JOIN LATERAL
               (SELECT count(*) FILTER (WHERE error_code IS NULL) AS good, count(error_code) AS bad
                  FROM batch_results WHERE job_id = id) AS stored ON true""",
    "results of another input": """
        SELECT count(*) FROM batch_results JOIN batch_items USING (job_id, idx)
         WHERE (prediction ->> 'length')::int <> length(input #>> '{}')""",
    "healthy inputs that failed": """
        SELECT count(*) FROM batch_results JOIN batch_items USING (job_id, idx)
         WHERE error_code IS NOT NULL AND input #>> '{}' <> 'raise'""",
}


def find_violations(database_url: str, accepted: list[str]) -> dict[str, int]:
    """Run all queries for the accepted jobs and return what each has counted."""
    with psycopg.connect(database_url) as connection:
        found = {}
        for name, query in QUERIES.items():
            row = connection.execute(query.encode(), {"accepted": accepted}).fetchone()
            assert row is not None
            found[name] = int(row[0])
        return found


def count_inputs(database_url: str) -> int:
    """Return the number of inputs of all jobs."""
    return _count(database_url, "SELECT count(*) FROM batch_items")


def count_results(database_url: str) -> int:
    """Return the number of results of all jobs."""
    return _count(database_url, "SELECT count(*) FROM batch_results")


def _count(database_url: str, query: LiteralString) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
