-- Which hosts are divided among processes, as the crawl began: each part has a row of its own in `host`.
-- NULL: not said yet.
ALTER TABLE crawl ADD COLUMN shares text DEFAULT '';
