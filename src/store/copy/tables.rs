//! The tables of both databases, with what differs between them.

use crate::item::{self, Schema};
use crate::store::sqlite::seen::key_of;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Integer,
    Real,
    Text,
    Bytes,
    /// 0 and 1.
    Boolean,
    Json,
    /// A moment: text on SQLite.
    Time,
    /// An array of texts on PostgreSQL, which SQLite does not have.
    List,
}

/// A column; where one of the databases does not have it, an expression in its place.
#[derive(Clone, Debug)]
pub(in crate::store) struct Column {
    pub(in crate::store) name: String,
    pub(in crate::store) kind: Kind,
    /// How it is read from SQLite, if not by its name; and whether SQLite has it.
    pub(in crate::store) from_sqlite: Option<&'static str>,
    pub(in crate::store) on_sqlite: bool,
    /// The same of PostgreSQL.
    pub(in crate::store) from_postgres: Option<&'static str>,
    pub(in crate::store) on_postgres: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: String,
    pub(in crate::store) columns: Vec<Column>,
    /// What it is read from in SQLite, if not from the table of its name.
    pub(in crate::store) source: Option<&'static str>,
    /// What follows its name where it is read.
    pub(in crate::store) from_sqlite: &'static str,
    pub(in crate::store) from_postgres: &'static str,
    /// Whether it is one of items.
    pub(in crate::store) is_item: bool,
}

fn column(kind: Kind, name: impl Into<String>) -> Column {
    Column {
        name: name.into(),
        kind,
        from_sqlite: None,
        on_sqlite: true,
        from_postgres: None,
        on_postgres: true,
    }
}

impl Column {
    /// Read by an expression.
    fn by(self, sqlite: &'static str, postgres: &'static str) -> Self {
        Self {
            from_sqlite: Some(sqlite),
            from_postgres: Some(postgres),
            ..self
        }
    }

    /// PostgreSQL alone has it; what is written for a row that comes from SQLite.
    fn on_postgres(self, from_sqlite: &'static str) -> Self {
        Self {
            from_sqlite: Some(from_sqlite),
            on_sqlite: false,
            ..self
        }
    }

    /// SQLite alone has it; what is written for a row that comes from PostgreSQL.
    fn on_sqlite(self, from_postgres: &'static str) -> Self {
        Self {
            from_postgres: Some(from_postgres),
            on_postgres: false,
            ..self
        }
    }
}

/// Columns of one kind.
fn all(kind: Kind, names: &str) -> Vec<Column> {
    names.split(' ').map(|name| column(kind, name)).collect()
}

fn table(name: &str, columns: impl IntoIterator<Item = Vec<Column>>) -> Table {
    Table {
        name: name.to_owned(),
        columns: columns.into_iter().flatten().collect(),
        source: None,
        from_sqlite: "",
        from_postgres: "",
        is_item: false,
    }
}

fn integers(names: &str) -> Vec<Column> {
    all(Kind::Integer, names)
}

fn texts(names: &str) -> Vec<Column> {
    all(Kind::Text, names)
}

/// When a host that was held has something to do.
const FREE_ON_SQLITE: &str = "CASE WHEN run IS NULL THEN lease_at ELSE
  (SELECT max(next_at, q.due) FROM queue q WHERE q.host = t.id ORDER BY q.due LIMIT 1) END";
const FREE_ON_POSTGRES: &str = "CASE WHEN run IS NULL THEN lease_at ELSE
  (SELECT greatest(next_at, q.due) FROM queue q WHERE q.host = t.id ORDER BY q.due LIMIT 1) END";

/// The key that SQLite has does not tell host and fingerprint apart: they are those of the request.
fn seen() -> Table {
    let key = column(Kind::Bytes, "key")
        .by(key_of!("t"), "")
        .on_sqlite("substr(int8send(host), 1, 2) || int8send(host # fp)");
    let host = column(Kind::Integer, "host").on_postgres("host");
    let fp = column(Kind::Integer, "fp").on_postgres("fp");
    Table {
        source: Some(
            "(SELECT host, fp, id AS seq FROM page UNION ALL SELECT host, fp, seq FROM queue)",
        ),
        from_postgres: "ORDER BY host, fp",
        ..table("seen", vec![vec![key, host, fp], integers("seq")])
    }
}

/// All tables but those of items. Nobody holds hosts where they come to, and no run goes on.
pub(super) fn of_the_store() -> Vec<Table> {
    let boolean = |name: &str| column(Kind::Boolean, name);
    let last_run = "(SELECT coalesce(max(r.id), 0) FROM run r WHERE r.crawl = t.crawl)";
    vec![
        table(
            "crawl",
            vec![
                integers("id started finished round again"),
                texts("spider args state"),
                vec![column(Kind::Bytes, "key"), boolean("seeded")],
            ],
        ),
        run(),
        host(),
        table("robots", vec![integers("host status at"), texts("body")]),
        seen(),
        Table {
            from_postgres: "ORDER BY host, due, ord, depth, seq",
            ..table(
                "queue",
                vec![
                    integers("host due ord depth seq fp tries parent"),
                    texts("step path args spec"),
                ],
            )
        },
        Table {
            from_postgres: "ORDER BY id",
            ..table(
                "page",
                vec![
                    integers("id run host fp status ms bytes ord depth tries parent at"),
                    texts("step path state reason message args spec"),
                ],
            )
        },
        table(
            "visit",
            vec![
                integers("page at changed every hash"),
                texts("etag modified"),
            ],
        ),
        table("attempt", vec![integers("page at run"), texts("message")]),
        Table {
            from_postgres: "GROUP BY crawl, budget, day",
            ..table(
                "spent",
                vec![
                    integers("crawl day"),
                    texts("budget"),
                    vec![
                        column(Kind::Integer, "run")
                            .on_postgres(last_run)
                            .by(last_run, "max(run)"),
                        column(Kind::Integer, "pages").by("pages", "sum(pages)::bigint"),
                    ],
                ],
            )
        },
        Table {
            from_postgres: "WHERE json IS NOT NULL",
            ..table(
                "cookie",
                vec![
                    integers("crawl"),
                    texts("session key json"),
                    vec![
                        column(Kind::Integer, "run").on_postgres(last_run),
                        column(Kind::Integer, "at").on_postgres("unixepoch() * 1000"),
                    ],
                ],
            )
        },
        Table {
            from_postgres: "GROUP BY crawl, reason, subject",
            ..table(
                "refused",
                vec![
                    integers("crawl"),
                    texts("reason subject"),
                    vec![
                        column(Kind::Integer, "run")
                            .on_postgres(last_run)
                            .by(last_run, "max(run)"),
                        column(Kind::Integer, "count").by("count", "sum(count)::bigint"),
                        column(Kind::Text, "sample").by("sample", "min(sample)"),
                    ],
                ],
            )
        },
    ]
}

fn run() -> Table {
    let ended = "coalesce(ended, beat)";
    let stop = "CASE WHEN ended IS NULL THEN 'killed' ELSE stop END";
    table(
        "run",
        vec![
            integers(
                "id crawl pid started beat done failed skipped redirects retries known requeued \
                 forgotten unchanged items new changed bytes",
            ),
            texts("version settings report"),
            vec![
                column(Kind::Integer, "ended").by(ended, ended),
                column(Kind::Text, "stop").by(stop, stop),
                column(Kind::Integer, "seq").on_sqlite("(SELECT coalesce(max(seq), 0) FROM seen)"),
                column(Kind::Integer, "lease").on_postgres("30000"),
                column(Kind::List, "steps").on_postgres("'{}'"),
            ],
        ],
    )
}

fn host() -> Table {
    let boolean = |name: &str| column(Kind::Boolean, name);
    table(
        "host",
        vec![
            integers("id crawl next_at errors delay ceiling day sent"),
            texts("origin"),
            vec![
                boolean("seed"),
                column(Kind::Integer, "lease_at").by(FREE_ON_SQLITE, FREE_ON_POSTGRES),
                column(Kind::Integer, "pace").on_postgres("NULL"),
                boolean("lapsed").by("lapsed OR run IS NOT NULL", "lapsed OR run IS NOT NULL"),
            ],
        ],
    )
}

/// A table of items.
pub(in crate::store) fn item(schema: &Schema) -> Table {
    let own = schema.columns().iter().map(|own| {
        let kind = match own.kind {
            item::Kind::Text => Kind::Text,
            item::Kind::Integer => Kind::Integer,
            item::Kind::Real => Kind::Real,
            item::Kind::Boolean => Kind::Boolean,
            item::Kind::Json => Kind::Json,
        };
        column(kind, own.name.to_string())
    });
    Table {
        is_item: true,
        source: None,
        from_sqlite: "ORDER BY _id",
        from_postgres: "ORDER BY _id",
        ..table(
            schema.table(),
            vec![
                integers("_id _page _run _hash"),
                texts("_url"),
                all(Kind::Time, "_first_seen _last_seen _changed _gone"),
                own.collect(),
            ],
        )
    }
}
