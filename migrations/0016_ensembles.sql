-- A version may be of the kind 'ensemble'. The rows stay; only the check on the column changes, by
-- SQLite's own procedure for changes that touch no stored content.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, '''base'', ''fine-tuned''', '''base'', ''fine-tuned'', ''ensemble''')
WHERE type = 'table' AND name = 'versions';
PRAGMA writable_schema = RESET;
