use nephila::prelude::*;

#[derive(Item)]
struct Generic<T> {
    value: T,
}

#[derive(Item)]
struct Borrowed<'a> {
    value: &'a str,
}

#[derive(Item)]
struct Tuple(String);

#[derive(Item)]
enum Kind {
    A,
}

#[derive(Item)]
#[item(key = "urk", tabel = "x")]
struct Misspelt {
    url: String,
}

#[derive(Item)]
#[item(key = ["urk", "stars"])]
struct NoColumn {
    url: String,
    #[item(skip)]
    stars: u8,
}

#[derive(Item)]
#[item(key = "url")]
struct NullableKey {
    url: Option<String>,
}

#[derive(Item)]
struct Queue {
    url: String,
}

#[derive(Item)]
#[item(table = "my books")]
struct Named {
    _run: String,
    name: String,
    #[item(name = "Name")]
    other: String,
}

fn main() {}
