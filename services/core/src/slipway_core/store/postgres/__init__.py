"""Access to PostgreSQL: the pool, COPY and value codecs. It knows no tables."""
