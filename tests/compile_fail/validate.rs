use nephila::prelude::*;

#[derive(Item)]
#[item(validate = check)]
struct Book {
    title: String,
}

fn check(title: &str) -> std::result::Result<(), String> {
    Err(title.to_owned())
}

#[derive(Item)]
struct Offer {
    #[css("p", parse = number)]
    price: u32,
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn main() {}
