"""PostgreSQL, the only engine: connections, migrations, and every statement that is run."""
