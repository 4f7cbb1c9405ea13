//! Books with their covers: the pictures go to disk, and a table says where.
//!
//! ```text
//! cargo run --example downloads
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::Crawl;
use nephila::item::Value;
use nephila::prelude::*;
use nephila::site::{Options, Site};
use nephila::store::{collect, open_reader};

#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("article.detail img::attr(src)")]
    cover: Url,
}

#[derive(serde::Deserialize)]
struct Covers {
    site: Url,
}

#[spider]
impl Covers {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("article.product h3 a", Self::book)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.download("article.detail img")?;
        page.item()
    }
}

#[tokio::main]
async fn main() -> Result {
    let folder = std::env::temp_dir().join(format!("nephila-covers-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let options = Options {
        products: 12,
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await?;
    let db = format!("sqlite:{}", folder.join("crawl.db").display());
    let files = folder.join("files");
    let crawl = Crawl::new(Covers { site: site.url() }).db(&db);
    let named = files.display().to_string();
    crawl.with(|settings| settings.files = named).run().await?;

    let reader = open_reader(&db).await?;
    let sql = "select title, path, bytes from books join file on file.url = books.cover";
    let (_, rows) = collect(&*reader, sql).await?;
    for row in &rows {
        if let [Value::Text(title), Value::Text(path), Value::Integer(bytes)] = row.as_slice() {
            let there = std::fs::metadata(files.join(path))?.len();
            println!("{title}: {path}, {there} bytes");
            if i64::try_from(there)? != *bytes {
                return Err("the file is not as the table says".into());
            }
        }
    }
    std::fs::remove_dir_all(&folder)?;
    if rows.len() != 12 {
        return Err("not every book has its cover".into());
    }
    Ok(())
}
