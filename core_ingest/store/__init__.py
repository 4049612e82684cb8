"""The store: migrations, named SQL, and the thin shell that runs it on asyncpg."""
