-- An approval that was taken back stays on record.

ALTER TABLE approvals ADD COLUMN revoked_by TEXT;
ALTER TABLE approvals ADD COLUMN revoked_at TEXT;
