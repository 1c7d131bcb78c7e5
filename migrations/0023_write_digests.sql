-- What was written under a key, so that another batch under the same key is told instead of
-- skipped. Empty: from before.
ALTER TABLE write_keys ADD COLUMN digest TEXT NOT NULL DEFAULT '';
