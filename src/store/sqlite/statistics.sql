-- What the planner believes about the store's tables, so that its plans are those of a large crawl from
-- the first page on, and a user's ANALYZE of a small file turns none of them round.
ANALYZE sqlite_schema;
DELETE FROM sqlite_stat1 WHERE tbl IN ('seen', 'queue', 'page', 'host', 'robots', 'attempt', 'refused', 'cookie', 'visit', 'run');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('seen', 'seen', '10000000 1'),
    ('queue', 'queue', '5000000 500 450 400 100 1'),
    ('page', 'page_not_done', '500000 50000'),
    ('page', NULL, '5000000'),
    ('host', 'host_free', '50000 25000 2'),
    ('host', 'host_held', '1000 500'),
    ('host', 'host_seed', '1000 500'),
    ('host', NULL, '100000'),
    ('visit', NULL, '5000000'),
    ('run', 'run_crawl', '100 20'),
    ('robots', NULL, '100000'),
    ('attempt', 'attempt', '100000 2 1'),
    ('refused', 'refused', '1000 500 100 1'),
    ('cookie', 'cookie', '10000 5000 500 1');
ANALYZE sqlite_schema;
