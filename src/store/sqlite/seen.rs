//! The key of a request in `seen`: half as long as host and fingerprint, and as exact.
//!
//! Two bytes of the host keep a site's rows together, so that the links of a page are found in a few pages of the
//! tree. The other eight are host XOR fingerprint: within a host as exact as the fingerprint, and requests of
//! two hosts that share their first bytes differ by what the hosts differ in.

use crate::request::{Fingerprint, HostKey};

/// How much of the host leads.
const LEAD: usize = 2;

/// The key, in bytes.
pub(super) fn key(host: HostKey, fingerprint: Fingerprint) -> [u8; LEAD + 8] {
    let mut key = [0; LEAD + 8];
    let (lead, rest) = key.split_at_mut(LEAD);
    lead.copy_from_slice(&host.0.to_be_bytes()[..LEAD]);
    rest.copy_from_slice(&(host.0 ^ fingerprint.0).to_be_bytes());
    key
}

/// The same in SQL, of the columns `host` and `fp` of a table. SQLite has no XOR, but what is in one of two
/// numbers is what is in any less what is in both.
macro_rules! key_of {
    ($table:literal) => {
        concat!(
            "unhex(substr(printf('%016llX', ",
            $table,
            ".host), 1, 4) || printf('%016llX', (",
            $table,
            ".host | ",
            $table,
            ".fp) - (",
            $table,
            ".host & ",
            $table,
            ".fp)))"
        )
    };
}
pub(in crate::store) use key_of;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::file::{self, Place};

    #[tokio::test]
    async fn sql_makes_the_same_key() {
        let mut db = file::writer(&Place::Memory).await.unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let edges = [0, 1, -1, i64::MIN, i64::MAX, 0x1234];
        let edges = edges
            .iter()
            .flat_map(|a| edges.iter().map(move |b| (*a, *b)));
        let pairs: Vec<_> = edges
            .chain((0..200).map(|_| (random.i64(..), random.i64(..))))
            .collect();
        for (host, fp) in pairs {
            let sql = concat!(
                "SELECT ",
                key_of!("t"),
                " FROM (SELECT ? AS host, ? AS fp) t"
            );
            let made: Vec<u8> = sqlx::query_scalar(sql)
                .bind(host)
                .bind(fp)
                .fetch_one(&mut db)
                .await
                .unwrap();
            assert_eq!(made, key(HostKey(host), Fingerprint(fp)), "{host} {fp}");
        }
    }
}
