//! The shop's lists: the home page, all books, the categories; and the covers.

use hyper::StatusCode;

use super::call::Call;
use super::html::{Html, Text};
use super::product::{self, CATEGORIES, in_category};
use super::reply::Reply;
use super::state::State;
use super::template::{self, To, View};

/// Books on a list page.
const PER_PAGE: usize = 20;

/// How many pages the shop has in all.
pub(super) fn pages(products: usize) -> usize {
    let lists = 0..CATEGORIES.len();
    let by_category: usize = lists
        .map(|number| list_pages(in_category(products, number)))
        .sum();
    list_pages(products) + by_category + products
}

/// How many pages a list of `books` has: an empty one has a page too.
fn list_pages(books: usize) -> usize {
    books.div_ceil(PER_PAGE).max(1)
}

pub(super) fn home(state: &State, call: &Call) -> Reply {
    list(&View::new(state, call), 1)
}

/// `/page/N`: all books.
pub(super) fn page(state: &State, call: &Call, rest: &str) -> Reply {
    match rest.parse() {
        Ok(1) => Reply::redirect(StatusCode::MOVED_PERMANENTLY, "/"),
        Ok(page) => list(&View::new(state, call), page),
        Err(_) => Reply::not_found(),
    }
}

fn list(view: &View, page: usize) -> Reply {
    let before = page.saturating_sub(1).saturating_mul(PER_PAGE);
    let ids = (1..=view.products).skip(before).take(PER_PAGE);
    let shown = List {
        title: "All books",
        page,
        count: view.products,
    };
    listing(view, &shown, ids, To::List)
}

/// `/category/SLUG?page=N`.
pub(super) fn category(state: &State, call: &Call, rest: &str) -> Reply {
    let view = View::new(state, call);
    let Some(number) = (0..CATEGORIES.len()).find(|&number| product::slug(number) == rest) else {
        return Reply::not_found();
    };
    let page = call.number("page").unwrap_or(1) as usize;
    let before = page.saturating_sub(1).saturating_mul(PER_PAGE);
    let ids = (number + 1..=view.products)
        .step_by(CATEGORIES.len())
        .skip(before)
        .take(PER_PAGE);
    let count = in_category(view.products, number);
    let shown = List {
        title: CATEGORIES[number],
        page,
        count,
    };
    listing(&view, &shown, ids, |page| To::Category(number, page))
}

struct List {
    title: &'static str,
    page: usize,
    count: usize,
}

fn listing(
    view: &View,
    list: &List,
    ids: impl Iterator<Item = usize>,
    to: impl Fn(usize) -> To,
) -> Reply {
    let end = list_pages(list.count);
    if !(1..=end).contains(&list.page) {
        return Reply::not_found();
    }
    let mut html = template::open(view, list.title, "");
    writeln!(
        html,
        "<h1>{}</h1>\n<aside>\n<h4>Categories</h4>",
        Text(list.title)
    );
    html.push("<ul class=\"categories\">\n");
    template::categories(&mut html, view);
    writeln!(
        html,
        "</ul>\n</aside>\n<p class=\"results\">{} results</p>",
        list.count
    );
    html.push("<section class=\"grid\">\n");
    for id in ids {
        card(&mut html, view, id);
    }
    writeln!(html, "</section>\n<ul class=\"pager\">");
    if list.page > 1 {
        let href = view.to(to(list.page - 1));
        writeln!(
            html,
            "<li class=\"previous\"><a href=\"{href}\">previous</a></li>"
        );
    }
    writeln!(
        html,
        "<li class=\"current\">Page {} of {end}</li>",
        list.page
    );
    if list.page < end {
        let (next, href) = (&view.layout.next, view.to(to(list.page + 1)));
        writeln!(
            html,
            "<{0} class=\"{1}\"><a href=\"{href}\">next</a></{0}>",
            next.name, next.class
        );
    }
    html.push("</ul>\n");
    Reply::html(template::close(html, view))
}

fn card(html: &mut Html, view: &View, id: usize) {
    let product = view.product(id);
    let (card, heading) = (&view.layout.card, view.layout.heading);
    let (href, title) = (view.to(To::Book(id)), Text(&product.title));
    writeln!(
        html,
        "<{0} class=\"{1}\">\n<a class=\"cover\" href=\"{href}\">\
         <img src=\"/img/{id}.svg\" alt=\"\" width=\"120\" height=\"160\" loading=\"lazy\"></a>\n\
         <{heading}><a href=\"{href}\" title=\"{title}\">{title}</a></{heading}>",
        card.name, card.class
    );
    template::price_and_stars(html, view, &product);
    writeln!(html, "</{}>", card.name);
}

/// `/img/N.svg`: a cover.
pub(super) fn image(rest: &str) -> Reply {
    let Some(id) = rest
        .strip_suffix(".svg")
        .and_then(|id| id.parse::<u64>().ok())
    else {
        return Reply::not_found();
    };
    let hue = id * 47 % 360;
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 120 160\">\
         <rect width=\"120\" height=\"160\" fill=\"hsl({hue} 50% 60%)\"/>\
         <text x=\"60\" y=\"85\" text-anchor=\"middle\" font-size=\"30\">{id}</text></svg>\n"
    );
    Reply::new("image/svg+xml", svg)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::client::{Answer, get, site};
    use super::super::{Options, Site};
    use super::pages;

    fn books(answer: &Answer) -> usize {
        answer.text().matches("<article class=\"product\">").count()
    }

    #[test]
    fn pages_are_counted() {
        let check = |products, expected| assert_eq!(pages(products), expected, "{products}");
        check(0, 11);
        check(1, 1 + 10 + 1);
        check(21, 2 + 10 + 21);
        check(1000, 50 + 50 + 1000);
    }

    #[tokio::test]
    async fn lists_have_books_and_a_way_on() {
        let site = Site::start("127.0.0.1:0").await.expect("a free port");
        let check = async |path: &str, count: usize, next: Option<&str>| {
            let answer = get(&site, path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(books(&answer), count, "{path}");
            let found = answer.between("<li class=\"next\"><a href=\"", "\"");
            assert_eq!(found.as_deref(), next, "{path}");
        };
        check("/", 20, Some("/page/2")).await;
        check("/page/2", 20, Some("/page/3")).await;
        check("/page/50", 20, None).await;
        check("/category/travel", 20, Some("/category/travel?page=2")).await;
        check("/category/science-nature?page=5", 20, None).await;
    }

    #[tokio::test]
    async fn what_is_not_there_is_404() {
        let site = site().await;
        let paths = [
            "/page/4",
            "/page/0",
            "/page/x",
            "/category/none",
            "/category/art?page=2",
        ];
        for path in paths
            .iter()
            .chain(&["/book/0", "/book/51", "/img/x.svg", "/nope", "/api"])
        {
            let answer = get(&site, path).await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(answer.text().contains("<h1>Page not found</h1>"), "{path}");
        }
        assert_eq!(get(&site, "/page/1").await.header("location"), Some("/"));
        assert_eq!(get(&site, "/page/18446744073709551615").await.status, 404);
    }

    /// A crawl that follows every link sees the pages that `shop_pages` counts, and no others.
    async fn crawl(site: &Site, start: &str) -> HashSet<String> {
        let mut seen = HashSet::from([start.to_owned()]);
        let mut left = vec![start.to_owned()];
        while let Some(path) = left.pop() {
            let answer = get(site, &path).await;
            assert_eq!(answer.status, 200, "{path}");
            let links = answer
                .links()
                .into_iter()
                .filter(|link| link.starts_with('/'));
            left.extend(links.filter(|link| seen.insert(link.clone())));
        }
        seen
    }

    #[tokio::test]
    async fn every_page_of_the_shop_is_reachable() {
        for products in [0, 1, 25, 210] {
            let options = Options {
                products,
                ..Options::default()
            };
            let site = Site::start_with("127.0.0.1:0", options)
                .await
                .expect("a free port");
            let seen = crawl(&site, "/").await;
            assert_eq!(seen.len(), site.shop_pages(), "{products}");
            for id in 1..=products {
                assert!(seen.contains(&format!("/book/{id}")), "{id} of {products}");
            }
        }
    }

    #[tokio::test]
    async fn links_keep_layout_and_run() {
        let site = site().await;
        let seen = crawl(&site, "/?layout=2&run=3").await;
        assert_eq!(seen.len(), site.shop_pages());
        assert!(
            seen.iter().all(|link| link.ends_with("layout=2&run=3")),
            "{seen:?}"
        );
        let answer = get(&site, "/?layout=2").await;
        assert_eq!(books(&answer), 0);
        let text = answer.text();
        assert_eq!(text.matches("<div class=\"card\">").count(), 20);
        assert!(
            text.contains("<li class=\"forward\"><a href=\"/page/2?layout=2\">"),
            "{text}"
        );
    }
}
