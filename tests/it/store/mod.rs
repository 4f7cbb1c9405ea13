//! The promises that every store keeps, written against `dyn Store` and run on each database.

mod again;
mod begin;
mod database;
mod faults;
mod frontier;
mod items;
mod model;
mod query;
mod reader;
mod steps;

/// Runs each promise as a test on a database of its own.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(&crate::store::database::Database::sqlite()).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test]
                async fn $promise() {
                    if let Some(database) = crate::store::database::Database::postgres().await {
                        super::$promise(&database).await;
                    }
                }
            )*
        }
    };
}
use promises;
