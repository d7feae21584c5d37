"""Everything that is kept in PostgreSQL. No other package imports a database library."""
