-- API keys can end by themselves, so that a key and its successor are valid side by side for a while.

ALTER TABLE api_keys ADD COLUMN expires timestamptz;
COMMENT ON COLUMN api_keys.expires IS 'From this instant on the key is refused; null for one that lasts.';
