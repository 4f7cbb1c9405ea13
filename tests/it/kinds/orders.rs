use super::*;

#[derive(Item)]
#[item(table = "orders", key = "number")]
struct Order {
    #[css("td.id")]
    number: String,
    #[css("td.total", parse = money)]
    total: f64,
}

#[derive(Deserialize)]
struct Orders {
    site: Url,
}

#[spider(name = "kind_orders")]
impl Orders {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("orders")?, Self::orders).await
    }

    async fn login(&self, login: Login) -> Result {
        let form = login.get(self.site.join("login")?).await?;
        let fields = [("user", "ann"), ("pass", login.secret("password")?)];
        login.submit(&form, "form.login", &fields).await.map(drop)
    }

    async fn orders(&self, page: Page) -> Result<Vec<Order>> {
        page.follow("a[rel=next]", Self::orders)?;
        page.items("tr.order")
    }
}
