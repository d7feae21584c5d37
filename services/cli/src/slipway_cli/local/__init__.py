"""The whole platform on one machine, supervised by one process: servers, migration, services."""
