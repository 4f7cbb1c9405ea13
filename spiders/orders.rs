//! A login: the form's hidden fields come along, the session's cookie is kept.

use nephila::prelude::*;
use serde::Deserialize;

/// An order of the customer who is logged in.
#[derive(Item)]
#[item(table = "orders", key = "number")]
struct Order {
    #[css("td.id")]
    number: String,
    #[css("td.date")]
    date: String,
    #[css("td.total")]
    #[re(r"([\d.]+)")]
    total: f64,
}

#[derive(Deserialize)]
struct Orders {
    #[serde(default = "demo")]
    site: Url,
}

fn demo() -> Url {
    Url::parse("http://127.0.0.1:7788/").expect("it is one")
}

/// Orders behind the demo shop's login
///
/// The password is that of the demo, unless `SHOP_PASSWORD` says another.
#[spider]
impl Orders {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("login")?, Self::login).await
    }

    async fn login(&self, page: Page) -> Result {
        let password = std::env::var("SHOP_PASSWORD").unwrap_or_else(|_| "secret".to_owned());
        page.submit("form.login", &[("user", "ann"), ("pass", &password)], Self::orders)
    }

    async fn orders(&self, page: Page) -> Result<Vec<Order>> {
        page.follow("a[rel=next]", Self::orders)?;
        page.items("tr.order")
    }
}
