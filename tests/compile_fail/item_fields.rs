use nephila::prelude::*;

#[derive(Item)]
struct Book {
    #[css("h1")]
    title: String,
    #[css("p")]
    #[url]
    both: String,
    #[css("p", pars = parse)]
    option: String,
    #[css("p")]
    #[css("q")]
    twice: String,
    #[item(nam = "x")]
    named: Option<String>,
}

#[derive(Item)]
struct Offer {
    #[css("p", default)]
    note: Option<String>,
    price: f64,
    #[url]
    #[default]
    url: Url,
    #[or_css("p")]
    fallback: Option<String>,
    #[default = 1]
    count: String,
}

#[derive(Item)]
struct Quote {
    #[default]
    text: String,
}

fn main() {}
