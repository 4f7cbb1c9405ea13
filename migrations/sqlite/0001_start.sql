-- Frontier and results of crawls, in one file, because a page is one transaction.
-- A request is in `queue` (left to do) or in `page` (done, failed or skipped), never in both, and
-- in `seen` for good: seen = queue + page. Times are milliseconds since 1970 (UTC) unless a column
-- says otherwise. Item tables (`item_table` lists them) are made on first use.

CREATE TABLE crawl (
    -- What runs resume: one spider with one set of arguments.
    id       INTEGER PRIMARY KEY,
    spider   TEXT    NOT NULL,            -- the spider's name
    args     TEXT    NOT NULL,            -- its arguments as JSON: other arguments are another crawl
    key      BLOB    NOT NULL,            -- 16 random bytes: the key of the hashes in host, seen, queue
    state    TEXT    NOT NULL,            -- open: can be resumed; finished; dropped: replaced, its rows are on their way out; gone
    seeded   INTEGER NOT NULL DEFAULT 0,  -- 1: all seeds are in the queue
    started  INTEGER NOT NULL,            -- when its first run began
    finished INTEGER,                     -- when its queue was empty
    round    INTEGER NOT NULL DEFAULT 1,  -- 1: its pages are asked for the first time; 2: again...
    again    INTEGER                      -- a new round is being prepared: page.id up to which that is done
);
CREATE INDEX crawl_spider ON crawl (spider, args);

CREATE TABLE run (
    -- One execution of a crawl. The counters are written with the pages that they count.
    id        INTEGER PRIMARY KEY,
    crawl     INTEGER NOT NULL,            -- crawl.id
    pid       INTEGER NOT NULL,            -- the process
    version   TEXT    NOT NULL,            -- of Nephila
    started   INTEGER NOT NULL,
    beat      INTEGER NOT NULL,            -- last sign of life
    ended     INTEGER,                     -- NULL: it runs, or it was killed and not resumed yet
    stop      TEXT,                        -- why it ended: finished, limit, interrupt, killed...
    seq       INTEGER NOT NULL,            -- the last number that was given to a request
    done      INTEGER NOT NULL DEFAULT 0,  -- pages fetched whose step ran, redirects among them
    failed    INTEGER NOT NULL DEFAULT 0,  -- pages given up
    skipped   INTEGER NOT NULL DEFAULT 0,  -- pages never asked for (robots.txt, scope...)
    redirects INTEGER NOT NULL DEFAULT 0,  -- pages that led elsewhere
    retries   INTEGER NOT NULL DEFAULT 0,  -- tries that were put back into the queue
    known     INTEGER NOT NULL DEFAULT 0,  -- requests seen for the first time
    requeued  INTEGER NOT NULL DEFAULT 0,  -- pages of earlier runs that it put back into the queue
    forgotten INTEGER NOT NULL DEFAULT 0,  -- pages of earlier runs that it took out of page and seen
    unchanged INTEGER NOT NULL DEFAULT 0,  -- of the done: pages that were as before, and whose step was spared
    items     INTEGER NOT NULL DEFAULT 0,  -- items stored: new, changed and same
    new       INTEGER NOT NULL DEFAULT 0,  -- items not known before
    changed   INTEGER NOT NULL DEFAULT 0,  -- items whose content differs from what was stored
    bytes     INTEGER NOT NULL DEFAULT 0,  -- bodies, on the wire
    settings  TEXT    NOT NULL,            -- the settings as JSON
    report    TEXT                         -- what the run said of itself at its end, as JSON
);
CREATE INDEX run_crawl ON run (crawl);

CREATE TABLE host (
    -- A host (scheme, name and port) and what politeness must know over restarts.
    id       INTEGER PRIMARY KEY,         -- keyed hash of the origin: belongs to one crawl
    crawl    INTEGER NOT NULL,            -- crawl.id
    origin   TEXT    NOT NULL,            -- https://example.com
    seed     INTEGER NOT NULL DEFAULT 0,  -- 1: in scope by itself
    run      INTEGER,                     -- the run that works on it; NULL: nobody
    next_at  INTEGER NOT NULL DEFAULT 0,  -- nothing is sent to it before
    lease_at INTEGER,                     -- when a free host has something to do; NULL: nothing is queued
    lapsed   INTEGER NOT NULL DEFAULT 0,  -- 1: who had it last was killed; when it was last asked is not known
    errors   INTEGER NOT NULL DEFAULT 0,  -- its failures in a row (429, 503, time-outs)
    delay    INTEGER NOT NULL DEFAULT 0,  -- AutoThrottle's delay in ms; 0: none
    ceiling  INTEGER NOT NULL DEFAULT 0,  -- the delay in ms at which it was last in trouble; 0: never
    day      INTEGER NOT NULL DEFAULT 0,  -- the day (since 1970, UTC) of sent
    sent     INTEGER NOT NULL DEFAULT 0   -- requests of that day, if they are limited
);
CREATE INDEX host_free ON host (crawl, lease_at) WHERE run IS NULL AND lease_at IS NOT NULL;
CREATE INDEX host_held ON host (run) WHERE run IS NOT NULL;
CREATE INDEX host_seed ON host (crawl) WHERE seed = 1;

CREATE TABLE robots (
    -- robots.txt as last fetched.
    host   INTEGER PRIMARY KEY,  -- host.id
    status INTEGER NOT NULL,     -- HTTP status; 0: no answer
    at     INTEGER NOT NULL,     -- when
    body   TEXT    NOT NULL
);

CREATE TABLE seen (
    -- Every request that was ever known. Rows are never updated.
    host INTEGER NOT NULL,  -- host.id
    fp   INTEGER NOT NULL,  -- keyed hash of method, path, body, step and headers
    seq  INTEGER NOT NULL,  -- the request's number: in queue.seq, later in page.id
    PRIMARY KEY (host, fp)
) WITHOUT ROWID;

CREATE TABLE queue (
    -- What is left to do. The row is the ticket: who deletes it writes the page.
    host   INTEGER NOT NULL,  -- host.id
    due    INTEGER NOT NULL,  -- 0: ready; else not to be fetched before
    ord    INTEGER NOT NULL,  -- priority negated: smaller comes first
    depth  INTEGER NOT NULL,  -- links from a seed
    seq    INTEGER NOT NULL,  -- number in order of discovery
    fp     INTEGER NOT NULL,  -- as in seen
    tries  INTEGER NOT NULL,  -- tries that failed
    step   TEXT    NOT NULL,  -- the step that reads the answer
    path   TEXT    NOT NULL,  -- canonical path and query
    args   TEXT,              -- the step's arguments as JSON
    parent INTEGER,           -- page.id of the page it was found on; NULL: a seed
    spec   TEXT,              -- method, headers, body... as JSON; NULL: a plain GET
    PRIMARY KEY (host, due, ord, depth, seq)
) WITHOUT ROWID;

CREATE TABLE page (
    -- What was done: one row for every request that left the queue.
    id      INTEGER PRIMARY KEY,  -- the request's number
    run     INTEGER NOT NULL,     -- run.id
    host    INTEGER NOT NULL,     -- host.id
    fp      INTEGER NOT NULL,     -- as in seen
    step    TEXT    NOT NULL,     -- the step that read the answer
    path    TEXT    NOT NULL,     -- canonical path and query; the view `url` has it whole
    state   TEXT    NOT NULL,     -- done, failed or skipped
    reason  TEXT,                 -- a word for grouping: redirect, status, timeout, step, robots...
    message TEXT,                 -- the sentence
    status  INTEGER NOT NULL,     -- HTTP status; 0: no answer
    ms      INTEGER NOT NULL,     -- from request to last byte
    bytes   INTEGER NOT NULL,     -- of the body, on the wire
    ord     INTEGER NOT NULL,     -- as in queue
    depth   INTEGER NOT NULL,     -- links from a seed
    tries   INTEGER NOT NULL,     -- tries that failed before
    parent  INTEGER,              -- page.id of the page it was found on; NULL: a seed
    at      INTEGER NOT NULL,     -- when it was written
    args    TEXT,                 -- as in queue; kept if it is not done, or may be asked for in another round
    spec    TEXT                  -- as in queue
);
CREATE INDEX page_not_done ON page (run) WHERE state <> 'done';

CREATE TABLE visit (
    -- What must be known of a page to tell whether it has changed, for steps that say when they want
    -- their pages again.
    page     INTEGER PRIMARY KEY,  -- number of the request: page.id, or queue.seq once it is queued again
    at       INTEGER NOT NULL,     -- when it was last asked for
    changed  INTEGER NOT NULL,     -- when its content was last found to be another
    every    INTEGER,              -- milliseconds until it is asked for again, where that adapts
    etag     TEXT,                 -- of the answer
    modified TEXT,                 -- Last-Modified of the answer
    hash     INTEGER               -- keyed hash of the body
);

CREATE TABLE spent (
    -- What was used of the budgets that hold over runs.
    crawl  INTEGER NOT NULL,  -- crawl.id
    budget TEXT    NOT NULL,  -- its name: day, or a prefix of URLs
    day    INTEGER NOT NULL,  -- days since 1970; 0: for good
    pages  INTEGER NOT NULL,
    PRIMARY KEY (crawl, budget, day)
) WITHOUT ROWID;

CREATE TABLE attempt (
    -- Tries that failed and were put back into the queue; the last try is the page itself.
    page    INTEGER NOT NULL,  -- number of the request, later page.id
    at      INTEGER NOT NULL,
    run     INTEGER NOT NULL,  -- run.id
    message TEXT    NOT NULL,  -- why
    PRIMARY KEY (page, at)
) WITHOUT ROWID;

CREATE TABLE cookie (
    crawl   INTEGER NOT NULL,  -- crawl.id
    session TEXT    NOT NULL,  -- which jar
    key     TEXT    NOT NULL,  -- domain, path and name
    json    TEXT    NOT NULL,  -- the cookie
    PRIMARY KEY (crawl, session, key)
) WITHOUT ROWID;

CREATE TABLE refused (
    -- Links that never became requests, counted.
    crawl   INTEGER NOT NULL,  -- crawl.id
    reason  TEXT    NOT NULL,  -- scope, include, exclude, depth, scheme, length, links, nofollow, invalid; traps: far_dates...
    subject TEXT    NOT NULL,  -- what it hit: a host, a pattern, or nothing; '(others)' after 1000 different ones
    count   INTEGER NOT NULL,
    sample  TEXT    NOT NULL,  -- one of the links
    PRIMARY KEY (crawl, reason, subject)
) WITHOUT ROWID;

CREATE TABLE item_table (
    -- The tables of items.
    name   TEXT PRIMARY KEY COLLATE NOCASE,
    schema TEXT NOT NULL  -- its columns and key as JSON
) WITHOUT ROWID;

CREATE VIEW url AS
    -- Every request by its URL, for people.
    SELECT host.origin || page.path AS url, page.state, page.status, page.reason, page.message,
           page.step, page.depth, page.tries, strftime('%Y-%m-%dT%H:%M:%SZ', page.at / 1000, 'unixepoch') AS at,
           page.ms, page.bytes, page.run, page.id AS page, page.parent, host.crawl
    FROM page JOIN host ON host.id = page.host
    UNION ALL
    SELECT host.origin || queue.path, 'queued', NULL, NULL, NULL,
           queue.step, queue.depth, queue.tries,
           CASE WHEN queue.due > 0 THEN strftime('%Y-%m-%dT%H:%M:%SZ', queue.due / 1000, 'unixepoch') END,
           NULL, NULL, NULL, queue.seq, queue.parent, host.crawl
    FROM queue JOIN host ON host.id = queue.host;
