use nephila::prelude::*;

struct Price(f64);

struct Weight(f64);

fn weight(text: &str) -> std::result::Result<Weight, std::num::ParseFloatError> {
    text.parse().map(Weight)
}

#[derive(Item)]
struct Book {
    #[css("h1")]
    title: String,
    #[css("p.price")]
    price: Price,
    #[css("p.weight", parse = weight)]
    weight: Weight,
    #[url]
    address: u32,
}

#[derive(Item)]
struct Maker {
    name: String,
}

#[derive(Item)]
struct Offer {
    #[css("div.maker")]
    maker: Maker,
}

fn main() {}
