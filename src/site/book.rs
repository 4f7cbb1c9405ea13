//! A book's page.

use std::ops::RangeInclusive;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, LAST_MODIFIED};

use super::call::Call;
use super::html::{Html, Text};
use super::product::{self, CATEGORIES, Product};
use super::reply::Reply;
use super::state::State;
use super::template::{self, To, View};
use super::words::Dice;

/// `/book/N`.
pub(super) fn reply(state: &State, call: &Call, rest: &str) -> Reply {
    let view = View::new(state, call);
    let id = match rest.parse::<usize>() {
        Ok(id) if (1..=view.products).contains(&id) => id,
        _ => return Reply::not_found(),
    };
    let product = view.product(id);
    // Weak: the prices of other books on the page do not make it another page.
    let etag = format!("W/\"book-{id}-{}-{}\"", view.layout.number, product.pence);
    let modified = httpdate::fmt_http_date(product.modified(view.run));
    let fresh = match call.header("if-none-match") {
        Some(tags) => tags
            .split(',')
            .any(|tag| tag.trim() == etag || tag.trim() == "*"),
        None => call.header("if-modified-since") == Some(modified.as_str()),
    };
    let reply = if fresh {
        Reply::status(StatusCode::NOT_MODIFIED).empty()
    } else {
        Reply::html(page(&view, &product))
    };
    reply
        .with(ETAG, &etag)
        .with(LAST_MODIFIED, &modified)
        .with(CACHE_CONTROL, "max-age=0, must-revalidate")
}

fn page(view: &View, product: &Product) -> Html {
    let mut html = template::open(view, &product.title, &metadata(view, product));
    let number = product::category(product.id);
    writeln!(
        html,
        "<ul class=\"breadcrumb\">\n<li><a href=\"{}\">Home</a></li>\n\
         <li><a href=\"{}\">{}</a></li>\n<li class=\"active\">{title}</li>\n</ul>\n\
         <article class=\"detail\">\n<img src=\"/img/{id}.svg\" alt=\"{title}\">\n\
         <h1>{title}</h1>",
        view.to(To::List(1)),
        view.to(To::Category(number, 1)),
        Text(product.category),
        title = Text(&product.title),
        id = product.id,
    );
    template::price_and_stars(&mut html, view, product);
    writeln!(
        html,
        "<table class=\"facts\">\n<tr><th>UPC</th><td>{}</td></tr>\n\
         <tr><th>Product type</th><td>Book</td></tr>\n\
         <tr><th>Category</th><td>{}</td></tr>\n\
         <tr><th>Availability</th><td>In stock ({} available)</td></tr>\n</table>\n\
         <p><a href=\"#reviews\">Reviews</a></p>",
        product.upc,
        Text(product.category),
        product.stock,
    );
    let mut dice = Dice::new(product.id as u64 ^ 0xde5c);
    html.push("<div id=\"description\">\n<h2>Description</h2>\n<p>");
    sentences(&mut html, &mut dice, 6..=12);
    html.push("</p>\n</div>\n</article>\n");
    related(&mut html, view, product, &mut dice);
    reviews(&mut html, view, &mut dice);
    template::close(html, view)
}

/// Canonical link, Open Graph and JSON-LD.
fn metadata(view: &View, product: &Product) -> String {
    let (origin, id) = (&view.origin, product.id);
    let url = format!("{origin}/book/{id}");
    let price = product.price();
    let price = price.trim_start_matches('£');
    let data = serde_json::json!({
        "@context": "https://schema.org",
        "@type": "Book",
        "name": product.title,
        "sku": product.upc,
        "url": url,
        "genre": product.category,
        "image": format!("{origin}/img/{id}.svg"),
        "offers": {
            "@type": "Offer",
            "price": price,
            "priceCurrency": "GBP",
            "availability": "https://schema.org/InStock",
        },
    });
    let mut html = Html::default();
    writeln!(
        html,
        "<link rel=\"canonical\" href=\"{url}\">\n\
         <meta name=\"description\" content=\"{title}, a book of the category {category}.\">\n\
         <meta property=\"og:type\" content=\"book\">\n\
         <meta property=\"og:title\" content=\"{title}\">\n\
         <meta property=\"og:url\" content=\"{url}\">\n\
         <meta property=\"og:image\" content=\"{image}\">\n\
         <meta property=\"product:price:amount\" content=\"{price}\">\n\
         <meta property=\"product:price:currency\" content=\"GBP\">\n\
         <script type=\"application/ld+json\">{data}</script>",
        url = Text(&url),
        title = Text(&product.title),
        category = Text(product.category),
        image = Text(&format!("{origin}/img/{id}.svg")),
        // "</script>" inside a string would end the block; no title or host has a "<" to begin it.
        data = data.to_string().replace('<', "\\u003c"),
    );
    html.into_string()
}

/// Forty links to other books; their prices are not in the tags of the book's own.
fn related(html: &mut Html, view: &View, product: &Product, dice: &mut Dice) {
    let here = product.id as u64;
    let end = view.products as u64;
    let near: Vec<u64> = (1..=8)
        .map(|step| here + step * CATEGORIES.len() as u64)
        .collect();
    let far: Vec<u64> = (0..12).map(|_| 1 + dice.below(end)).collect();
    let previous = if here == 1 { end } else { here - 1 };
    let rows = [
        ("same-category", "More in this category", near),
        ("also-bought", "Others also bought", far),
        ("shelf", "On the same shelf", vec![previous, here + 1]),
    ];
    for (class, title, ids) in rows {
        writeln!(
            html,
            "<section class=\"{class}\">\n<h2>{title}</h2>\n<ul class=\"grid\">"
        );
        for id in ids {
            let other = view.product(view.around(id));
            let (id, href) = (other.id, view.to(To::Book(other.id)));
            writeln!(
                html,
                "<li><a href=\"{href}\"><img src=\"/img/{id}.svg\" alt=\"\"></a> \
                 <a href=\"{href}\">{}</a> <span class=\"amount\">{}</span></li>",
                Text(&other.title),
                other.price()
            );
        }
        html.push("</ul>\n</section>\n");
    }
}

/// As many reviews as the page needs to have its size.
fn reviews(html: &mut Html, view: &View, dice: &mut Dice) {
    let percent = 80 + dice.below(41) as usize;
    // About what the footer adds.
    let end = (view.page_bytes / 100 * percent).saturating_sub(1100);
    html.push("<section id=\"reviews\">\n<h2>Reviews</h2>\n");
    while html.len() < end {
        write!(html, "<blockquote><p>");
        sentences(html, dice, 3..=6);
        writeln!(
            html,
            "</p><cite>Reader {}</cite></blockquote>",
            dice.below(9000) + 1000
        );
    }
    html.push("</section>\n");
}

fn sentences(html: &mut Html, dice: &mut Dice, count: RangeInclusive<u64>) {
    let more = dice.below(count.end() - count.start() + 1);
    for _ in 0..count.start() + more {
        dice.sentence(html);
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{Answer, ask, get, site};
    use super::super::html::Text;
    use super::super::{Product, Site};

    fn shows(answer: &Answer, product: &Product) {
        let text = answer.text();
        let id = product.id;
        assert!(
            text.contains(&format!("<h1>{}</h1>", Text(&product.title))),
            "{id}: {text}"
        );
        assert!(
            text.contains(&format!("<p class=\"price\">{}</p>", product.price())),
            "{id}"
        );
        assert_eq!(text.matches("class=\"price\"").count(), 1, "{id}");
        let stars = answer.between("<p class=\"stars\" data-n=\"", "\"");
        assert_eq!(stars, product.stars.map(|stars| stars.to_string()), "{id}");
        assert!(text.contains(&format!("<td>{}</td>", product.upc)), "{id}");
        let stock = format!("<td>In stock ({} available)</td>", product.stock);
        assert!(text.contains(&stock), "{id}");
        assert!(
            text.contains(&format!("<td>{}</td>", Text(product.category))),
            "{id}"
        );
    }

    #[tokio::test]
    async fn a_page_shows_its_book() {
        let site = Site::start("127.0.0.1:0").await.expect("a free port");
        for id in (1..=1000).step_by(13) {
            let answer = get(&site, &format!("/book/{id}")).await;
            shows(&answer, &site.product(id));
            let bytes = answer.body.len();
            assert!((15_000..30_000).contains(&bytes), "{id}: {bytes} bytes");
            let links = answer.links().len();
            assert!((65..80).contains(&links), "{id}: {links} links");
        }
    }

    #[tokio::test]
    async fn a_page_has_metadata() {
        let site = site().await;
        let answer = get(&site, "/book/7").await;
        let product = site.product(7);
        let data = answer.between("<script type=\"application/ld+json\">", "</script>");
        let data: serde_json::Value =
            serde_json::from_str(&data.expect("a block")).expect("valid JSON");
        assert_eq!(data["name"], product.title.as_str());
        assert_eq!(data["url"], "http://shop.test/book/7");
        assert_eq!(
            format!("£{}", data["offers"]["price"].as_str().unwrap()),
            product.price()
        );
        assert!(
            answer
                .text()
                .contains("<meta property=\"og:url\" content=\"http://shop.test/book/7\">")
        );
    }

    #[tokio::test]
    async fn a_run_changes_prices_and_their_tags() {
        let site = site().await;
        let is_changed = |id: &usize| Product::of(*id, 5).pence != Product::of(*id, 0).pence;
        let changed = (1..=50).find(is_changed).expect("one in ten");
        let same = (1..=50).find(|id| !is_changed(id)).expect("nine in ten");
        let pages = [format!("/book/{changed}"), format!("/book/{same}")];
        let before = [get(&site, &pages[0]).await, get(&site, &pages[1]).await];
        site.set_run(5);
        let after = [get(&site, &pages[0]).await, get(&site, &pages[1]).await];
        shows(&after[0], &Product::of(changed, 5));
        shows(&after[1], &Product::of(same, 0));
        for (name, differs) in [("etag", [true, false]), ("last-modified", [true, false])] {
            for (index, differs) in differs.into_iter().enumerate() {
                let tags = (before[index].header(name), after[index].header(name));
                assert!(tags.0.is_some());
                assert_eq!(tags.0 != tags.1, differs, "{name} {tags:?}");
            }
        }
        let asked = get(&site, &format!("/book/{changed}?run=0")).await;
        assert_eq!(asked.header("etag"), before[0].header("etag"));
    }

    #[tokio::test]
    async fn an_unchanged_page_is_304() {
        let site = site().await;
        let first = get(&site, "/book/7").await;
        let (etag, date) = (
            first.header("etag").unwrap(),
            first.header("last-modified").unwrap(),
        );
        let list = format!("\"x\", {etag}");
        let check = async |headers: &[(&str, &str)], expected: u16| {
            let answer = ask(&site, "GET", "/book/7", headers, "")
                .await
                .expect("an answer");
            assert_eq!(answer.status, expected, "{headers:?}");
            assert_eq!(answer.body.is_empty(), expected == 304, "{headers:?}");
            assert_eq!(answer.header("etag"), Some(etag));
        };
        check(&[("If-None-Match", etag)], 304).await;
        check(&[("If-None-Match", &list)], 304).await;
        check(&[("If-None-Match", "\"x\"")], 200).await;
        check(&[("If-Modified-Since", date)], 304).await;
        check(
            &[("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
            200,
        )
        .await;
        check(
            &[("If-None-Match", "\"x\""), ("If-Modified-Since", date)],
            200,
        )
        .await;
    }

    #[tokio::test]
    async fn layout_2_has_other_tags() {
        let site = site().await;
        site.set_layout(2);
        let answer = get(&site, "/book/7").await;
        let text = answer.text();
        let price = format!("<span class=\"cost\">{}</span>", site.product(7).price());
        assert!(text.contains(&price), "{text}");
        assert!(!text.contains("class=\"price\"") && !text.contains("class=\"stars\""));
        assert!(answer.links().iter().all(|link| !link.contains("layout")));
    }

    #[tokio::test]
    async fn head_has_the_length_and_no_body() {
        let site = site().await;
        let (head, get) = (
            ask(&site, "HEAD", "/book/7", &[], "").await,
            get(&site, "/book/7").await,
        );
        let head = head.expect("an answer");
        assert_eq!(head.status, 200);
        assert_eq!(
            head.header("content-length"),
            Some(get.body.len().to_string().as_str())
        );
        assert_eq!(head.header("date"), None);
        let post = ask(&site, "POST", "/book/7", &[], "x")
            .await
            .expect("an answer");
        assert_eq!(
            (post.status, post.header("allow")),
            (405, Some("GET, HEAD"))
        );
    }
}
