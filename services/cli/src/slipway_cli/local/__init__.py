"""The whole platform on one machine: servers, migrations, services, watched by one process."""
