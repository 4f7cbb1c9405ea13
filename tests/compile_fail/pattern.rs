use nephila::prelude::*;

#[derive(Item)]
struct Book {
    #[css("p.price")]
    #[re(r"([\d.]+")]
    price: f64,
}

#[derive(Item)]
struct Offer {
    #[re(r"\d")]
    title: Option<String>,
}

fn main() {}
