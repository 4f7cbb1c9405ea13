//! What the pages of the shop have in common: layouts, links, head, menu and footer.

use std::fmt::{self, Display};

use super::call::Call;
use super::html::{Html, Text};
use super::product::{CATEGORIES, Product, slug};
use super::state::State;

/// The tags and class names of a layout: what a redesign changes under a spider.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) number: u8,
    pub(super) card: Tag,
    pub(super) heading: &'static str,
    pub(super) price: Tag,
    pub(super) stars: Tag,
    pub(super) stars_attribute: &'static str,
    pub(super) next: Tag,
}

#[derive(Debug)]
pub(super) struct Tag {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
}

/// `article.product h3 a`, `p.price`, `p.stars[data-n]`, `li.next a`.
static FIRST: Layout = Layout {
    number: 1,
    card: Tag {
        name: "article",
        class: "product",
    },
    heading: "h3",
    price: Tag {
        name: "p",
        class: "price",
    },
    stars: Tag {
        name: "p",
        class: "stars",
    },
    stars_attribute: "data-n",
    next: Tag {
        name: "li",
        class: "next",
    },
};

/// `div.card h2 a`, `span.cost`, `div.rating[data-score]`, `li.forward a`.
static SECOND: Layout = Layout {
    number: 2,
    card: Tag {
        name: "div",
        class: "card",
    },
    heading: "h2",
    price: Tag {
        name: "span",
        class: "cost",
    },
    stars: Tag {
        name: "div",
        class: "rating",
    },
    stars_attribute: "data-score",
    next: Tag {
        name: "li",
        class: "forward",
    },
};

/// One look at the shop: its state, and what the links on a page carry along.
pub(super) struct View {
    pub(super) products: usize,
    pub(super) page_bytes: usize,
    pub(super) run: u64,
    pub(super) layout: &'static Layout,
    pub(super) origin: String,
    kept: String,
}

impl View {
    pub(super) fn new(state: &State, call: &Call) -> Self {
        let (run, layout) = (call.number("run"), call.number("layout"));
        let run_kept = run.map(|run| format!("run={run}"));
        let layout_kept = layout.map(|layout| format!("layout={layout}"));
        let kept: Vec<_> = layout_kept.into_iter().chain(run_kept).collect();
        let number = layout.unwrap_or_else(|| state.layout().into());
        Self {
            products: state.options.products,
            page_bytes: state.options.page_bytes,
            run: run.unwrap_or_else(|| state.run()),
            layout: if number == 2 { &SECOND } else { &FIRST },
            origin: call.origin(),
            kept: kept.join("&amp;"),
        }
    }

    pub(super) fn product(&self, id: usize) -> Product {
        Product::of(id, self.run)
    }

    /// A link for an attribute.
    pub(super) fn to(&self, page: To) -> Href<'_> {
        Href {
            page,
            kept: &self.kept,
        }
    }

    /// `id`, brought back into the shop from beyond its end.
    pub(super) fn around(&self, id: u64) -> usize {
        (id.saturating_sub(1) % self.products.max(1) as u64) as usize + 1
    }
}

/// A page of the shop.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    List(usize),
    Category(usize, usize),
    Book(usize),
}

pub(super) struct Href<'a> {
    page: To,
    kept: &'a str,
}

impl Display for Href<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "?";
        match self.page {
            To::List(1) => f.write_str("/")?,
            To::List(page) => write!(f, "/page/{page}")?,
            To::Book(id) => write!(f, "/book/{id}")?,
            To::Category(number, page) => {
                write!(f, "/category/{}", slug(number))?;
                if page > 1 {
                    write!(f, "?page={page}")?;
                    separator = "&amp;";
                }
            }
        }
        if self.kept.is_empty() {
            Ok(())
        } else {
            write!(f, "{separator}{}", self.kept)
        }
    }
}

/// Starts a page, up to the opened `main`; `head` is markup for its head.
pub(super) fn open(view: &View, title: &str, head: &str) -> Html {
    let mut html = Html::with_capacity(view.page_bytes * 5 / 4 + 16 * 1024);
    writeln!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} | Orb &amp; Weaver Books</title>\n{head}\
         <link rel=\"icon\" href=\"/img/0.svg\">\n\
         <link rel=\"alternate\" type=\"application/rss+xml\" href=\"/feed.xml\">\n\
         <style>{STYLE}</style>\n</head>\n<body class=\"layout-{number}\">\n\
         <header class=\"site\">\n<a class=\"logo\" href=\"{home}\">Orb &amp; Weaver Books</a>\n\
         <nav class=\"menu\"><ul>",
        title = Text(title),
        number = view.layout.number,
        home = view.to(To::List(1)),
    );
    categories(&mut html, view);
    html.push("</ul></nav>\n</header>\n<main>\n");
    html
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:70rem;\
padding:0 1rem}header.site,footer{border-bottom:1px solid #ccc;padding:1rem 0}\
ul{list-style:none;padding:0}nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1rem}\
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem}\
.price,.cost{color:#185}table{border-collapse:collapse}th,td{border:1px solid #ccc;\
padding:.2rem .6rem;text-align:left}";

/// The links to the categories, as list entries.
pub(super) fn categories(html: &mut Html, view: &View) {
    for (number, name) in CATEGORIES.iter().enumerate() {
        let href = view.to(To::Category(number, 1));
        writeln!(html, "<li><a href=\"{href}\">{}</a></li>", Text(name));
    }
}

/// Ends a page. The footer has the links that a crawler must leave alone.
pub(super) fn close(mut html: Html, view: &View) -> Html {
    let home = view.to(To::List(1));
    writeln!(
        html,
        "</main>\n<footer>\n<nav><ul>\n<li><a href=\"{home}\">All books</a></li>"
    );
    categories(&mut html, view);
    html.push(
        "</ul></nav>\n<p>Made of silk. <a href=\"mailto:ann@example.com\">Write</a> or \
         <a href=\"tel:+441234567890\">call</a> us, \
         <a href=\"javascript:window.print()\">print</a>, or go back <a href=\"#\">up</a>.</p>\n\
         </footer>\n",
    );
    html.end()
}

/// Price and stars of a book, in the layout's tags.
pub(super) fn price_and_stars(html: &mut Html, view: &View, product: &Product) {
    let Layout {
        price,
        stars,
        stars_attribute,
        ..
    } = view.layout;
    writeln!(
        html,
        "<{0} class=\"{1}\">{2}</{0}>",
        price.name,
        price.class,
        product.price()
    );
    if let Some(count) = product.stars {
        let (full, empty) = ("★★★★★", "☆☆☆☆☆");
        // Each star is three bytes long.
        let at = usize::from(count.min(5)) * 3;
        writeln!(
            html,
            "<{0} class=\"{1}\" {stars_attribute}=\"{count}\">{2}{3}</{0}>",
            stars.name,
            stars.class,
            &full[..at],
            &empty[at..]
        );
    }
}
