-- A known request takes ten bytes as its key instead of two columns of eight: the first two bytes of its host, which
-- keep a site's rows together, and host XOR fp, which keeps it as exact as it was.

CREATE TABLE seen_by_key (
    -- Every request that was ever known. Rows are never updated.
    key BLOB PRIMARY KEY,   -- of host.id its first two bytes, then host.id XOR fp, both big-endian
    seq INTEGER NOT NULL    -- the request's number: in queue.seq, later in page.id
) WITHOUT ROWID;
INSERT INTO seen_by_key
SELECT unhex(substr(printf('%016llX', host), 1, 4) || printf('%016llX', (host | fp) - (host & fp))) AS key, seq
FROM seen ORDER BY key;
DROP TABLE seen;
ALTER TABLE seen_by_key RENAME TO seen;
