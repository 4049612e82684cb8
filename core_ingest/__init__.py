"""The heart: every door hands its envelopes to one idempotent handler.

`handler` composes, `providers` interpret (pure), `decide` judges (pure), `store` holds the SQL and
the migrations, `ledger` accounts for every number that a publisher handed out.
"""
