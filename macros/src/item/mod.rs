//! `#[derive(Item)]`: a struct becomes a table, and is read from pages by its selectors.

mod code;
mod field;

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Data, DataStruct, DeriveInput, Fields, FieldsNamed, LitStr, Path, Token};

use crate::fail::{Failures, fail};
use crate::names::{is_sql_name, once, one_or_more, snake_case};
use field::{Field, Source};

/// A struct whose attributes are read.
struct Item {
    ident: Ident,
    table: String,
    /// Where the table's name is written.
    table_at: TokenStream,
    key: Vec<LitStr>,
    validate: Option<Path>,
    fields: Vec<Field>,
}

/// What stands in `#[item(..)]` on the struct.
#[derive(Default)]
struct Options {
    table: Option<LitStr>,
    key: Option<Vec<LitStr>>,
    validate: Option<Path>,
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input = match syn::parse2::<DeriveInput>(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut failures = Failures::default();
    let item = read(&input, &mut failures);
    match failures.into_code() {
        None => code::item(&item),
        Some(errors) => code::broken(&input, &errors),
    }
}

fn read(input: &DeriveInput, failures: &mut Failures) -> Item {
    if !input.generics.params.is_empty() {
        let message = "an item has no type parameters or lifetimes: it is a table";
        failures.at(&input.generics, message);
    }
    let options = failures.ok(options(&input.attrs)).unwrap_or_default();
    let mut fields = Vec::new();
    let mut is_whole = true;
    if let Some(named) = named(&input.data) {
        let all = named.named.iter();
        fields.extend(all.filter_map(|field| failures.ok(field::read(field))));
        is_whole = fields.len() == named.named.len();
    } else {
        let message = "an item is a struct with named fields: they are its columns";
        failures.at(&input.ident, message);
    }
    let (ident, table) = (&input.ident, options.table);
    let item = Item {
        ident: ident.clone(),
        table_at: table
            .as_ref()
            .map_or_else(|| quote::quote!(#ident), |table| quote::quote!(#table)),
        table: table.map_or_else(|| snake_case(ident), |table| table.value()),
        key: options.key.unwrap_or_default(),
        validate: options.validate,
        fields,
    };
    // A field that was not read is none that is missing.
    if is_whole {
        check(&item, failures);
    }
    item
}

fn named(data: &Data) -> Option<&FieldsNamed> {
    match data {
        Data::Struct(DataStruct {
            fields: Fields::Named(named),
            ..
        }) => Some(named),
        _ => None,
    }
}

fn check(item: &Item, failures: &mut Failures) {
    if !is_sql_name(&item.table) {
        failures.at(&item.table_at, NAME);
    }
    let columns = item.columns().collect::<Vec<_>>();
    for (position, field) in columns.iter().enumerate() {
        if !is_sql_name(&field.column) {
            failures.at(&field.column_at, NAME);
        }
        let same = |other: &&Field| other.column.eq_ignore_ascii_case(&field.column);
        if columns[..position].iter().any(same) {
            let message = format!("column `{}` stands twice", field.column);
            failures.at(&field.column_at, message);
        }
    }
    for key in &item.key {
        let name = key.value();
        if !columns.iter().any(|field| field.column == name) {
            let names = columns.iter().map(|field| format!("`{}`", field.column));
            let names = names.collect::<Vec<_>>().join(", ");
            failures.at(key, format!("no column `{name}`; there are {names}"));
        }
    }
    for field in &item.fields {
        if let Err(error) = field.check(item.is_read()) {
            failures.add(error);
        }
    }
}

const NAME: &str = "a name in the database is a letter, then up to 62 letters, digits or `_`; \
                    `#[item(name = \"..\")]` on a field and `#[item(table = \"..\")]` choose another";

impl Item {
    /// Whether it says how to read it from a page.
    fn is_read(&self) -> bool {
        self.fields
            .iter()
            .any(|field| !matches!(field.source, Source::None))
    }

    fn columns(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !field.skip)
    }
}

fn options(attributes: &[Attribute]) -> syn::Result<Options> {
    let mut options = Options::default();
    for attribute in attributes {
        if attribute.path().is_ident("item") {
            attribute.parse_args_with(|input: ParseStream<'_>| {
                while !input.is_empty() {
                    options.read(input)?;
                    if !input.is_empty() {
                        input.parse::<Token![,]>()?;
                    }
                }
                Ok(())
            })?;
        } else if field::is_own(attribute) {
            fail(attribute, "this stands on a field of an item")?;
        }
    }
    Ok(options)
}

impl Options {
    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let key = input.call(Ident::parse_any)?;
        if !input.peek(Token![=]) {
            return fail(&key, format!("write `{key} = ..`"));
        }
        input.parse::<Token![=]>()?;
        match key.to_string().as_str() {
            "table" => once(&mut self.table, &key, input.parse()?),
            "key" => once(&mut self.key, &key, one_or_more(input)?),
            "validate" => once(&mut self.validate, &key, input.parse()?),
            _ => fail(
                &key,
                format!("no option `{key}`: there are `table`, `key` and `validate`"),
            ),
        }
    }
}
