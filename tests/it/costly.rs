//! Pages that cost much to read: they fail by themselves, and leave nothing half read.

use nephila::engine::Stop;
use nephila::prelude::*;
use nephila::{Crawl, store};

use crate::cli::server::serve_with;

#[derive(Item)]
#[item(table = "finds", key = "url")]
struct Find {
    url: Url,
    matches: usize,
}

#[derive(serde::Deserialize)]
struct Reader {
    site: String,
}

#[spider(name = "costly_reader")]
impl Reader {
    async fn start(&self, seeds: Seeds) -> Result {
        for path in ["/plain", "/siblings", "/base"] {
            seeds
                .push(format!("{}{path}", self.site), Self::read)
                .await?;
        }
        Ok(())
    }

    /// Makes the best of whatever it gets.
    async fn read(&self, page: Page) -> Result<Find> {
        let matches = page.css("q ~ p").unwrap_or_default().len();
        let _ = page.follow("a", Self::read);
        Ok(Find {
            url: page.url().clone(),
            matches,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_costly_page_fails_and_the_others_do_not() {
    let base = format!("<base href=/{}/>", "b".repeat(100_000));
    let address = serve_with(move |path, _| match path {
        "/plain" => (200, "<q>x</q><p>x<p>y<a href=/linked>z</a>".to_owned()),
        "/linked" => (200, "<q>x</q><p>x".to_owned()),
        "/siblings" => (200, "<p>x".repeat(2_000)),
        "/base" => (200, base.clone() + &"<a href=x>y</a>".repeat(500)),
        _ => (404, String::new()),
    });
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    let site = format!("http://{address}");
    let crawl = Crawl::new(Reader { site: site.clone() }).db(&db);
    let crawl = crawl.with(|settings| settings.max_looks = 100_000);
    let report = crawl.run().await.unwrap();
    assert_eq!(report.stop, Stop::Finished);
    let errors = &report.statistics.errors;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].reason.as_str(), errors[0].count), ("costly", 1));
    let message = format!(
        "reading {site}/siblings costs too much: `q ~ p` went beyond 100000 looks at elements; name less, \
         or raise `max_looks` if the page is honest"
    );
    assert_eq!(errors[0].message, message);
    let reader = store::open_reader(&db).await.unwrap();
    let rows = async |sql: &str| {
        let (_, rows) = store::collect(&*reader, sql).await.unwrap();
        let rows = rows
            .iter()
            .map(|row| format!("{} {}", row[0].to_json(), row[1].to_json()));
        rows.collect::<Vec<_>>()
    };
    let finds = "SELECT replace(url, 'http://', ''), matches FROM finds ORDER BY url";
    let expected = [("base", 0), ("linked", 1), ("plain", 2)]
        .map(|(path, matches)| format!("\"{address}/{path}\" {matches}"));
    assert_eq!(rows(finds).await, expected);
    let refused = "SELECT reason, count FROM refused";
    assert_eq!(rows(refused).await, ["\"length\" 500"]);
}
