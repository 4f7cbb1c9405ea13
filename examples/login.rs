//! A login: a conversation with the site before the first request, and again when the session is logged out.
//!
//! ```text
//! cargo run --example login
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;

use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::Site;

/// An order of the customer who is logged in.
#[derive(Item)]
#[item(table = "orders", key = "number")]
struct Order {
    #[css("td.id")]
    number: String,
    #[css("td.total", parse = nephila::parse::money)]
    total: f64,
}

#[derive(serde::Deserialize)]
struct Orders {
    site: Url,
}

#[spider(name = "example_orders")]
impl Orders {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("orders")?, Self::orders).await
    }

    async fn login(&self, login: Login) -> Result {
        let form = login.get(self.site.join("login")?).await?;
        let fields = [("user", "ann"), ("pass", login.secret("password")?)];
        // The form's hidden CSRF token comes along.
        let page = login.submit(&form, "form.login", &fields).await?;
        page.get::<String>("tr.order td.id").map(drop)
    }

    async fn orders(&self, page: Page) -> Result<Vec<Order>> {
        page.follow("a[rel=next]", Self::orders)?;
        page.items("tr.order")
    }
}

#[tokio::main]
async fn main() -> Result {
    let site = Site::start("127.0.0.1:0").await?;
    let crawl = Crawl::new(Orders { site: site.url() }).db("sqlite::memory:");
    // In `nephila.toml` it would be  secrets = { password = { env = "SHOP_PASSWORD" } }
    let secrets = BTreeMap::from([("password".to_owned(), "secret".into())]);
    let report = crawl
        .with(|settings| settings.secrets = secrets)
        .run()
        .await?;
    println!("{} orders", report.statistics.items["orders"].emitted);
    Ok(())
}
