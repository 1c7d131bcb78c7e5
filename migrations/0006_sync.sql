-- How many writes the collection had seen when its first stage was measured.
ALTER TABLE collections ADD COLUMN calibrated_writes INTEGER NOT NULL DEFAULT 0;
