//! Things on pages that are records by themselves: XML elements, rows of separated values, entries of feeds,
//! microdata. All of them become JSON values, so that one notation reads their fields.

pub(super) mod csv;
pub(super) mod feed;
pub(super) mod micro;
pub(super) mod xml;

pub use csv::CsvRows;
pub use xml::XmlElements;

use serde_json::Value;

use super::found::At;
use super::{Extract, Page, Scope};
use crate::request::Result;

impl Page {
    /// Reads an item from a JSON value, as of a [row](Page::csv_rows) or an [element](Page::xml_elements).
    ///
    /// # Errors
    /// The [`FieldError`](super::FieldError) of the first field that is missing or unreadable.
    pub fn item_of<T: Extract>(&self, value: &Value) -> Result<T> {
        let scope = Scope {
            page: self,
            at: At::Json(value),
        };
        let item = T::extract(&scope)?;
        self.unless_complained(item)
    }

    /// The elements of a name in XML, one by one as they are asked for, so that a large file needs no large
    /// memory. A name without a prefix finds elements with any.
    ///
    /// An element with nothing but text is a text, else an object: attributes with `@` before their names,
    /// elements by their names as they are written, those that stand more than once as lists, and its own text
    /// as `#text`.
    ///
    /// ```
    /// # use nephila::prelude::*;
    /// #[derive(Item)]
    /// struct Product {
    ///     #[json("@id")]
    ///     id: u32,
    ///     #[json("name")]
    ///     name: String,
    ///     #[json("$['g:price']")]
    ///     price: f64,
    /// }
    ///
    /// let xml = "<shop xmlns:g='x'><product id='7'><name>Silk</name><g:price>5.5</g:price></product></shop>";
    /// let page = Page::from_html("http://shop.example/feed.xml", xml)?;
    /// for element in page.xml_elements("product") {
    ///     let product: Product = page.item_of(&element?)?;
    ///     assert_eq!((product.id, product.price), (7, 5.5));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn xml_elements<'a>(&'a self, name: &str) -> XmlElements<'a> {
        XmlElements::new(self, name)
    }

    /// The rows of a text with separated values, one by one as they are asked for: objects, by the names in the
    /// first row. What separates them (`,`, `;`, tab or `|`) is seen from the first row.
    ///
    /// ```
    /// # use nephila::prelude::*;
    /// #[derive(Item)]
    /// struct Product {
    ///     #[json("name")]
    ///     name: String,
    ///     #[json("price")]
    ///     price: Option<f64>,
    /// }
    ///
    /// let page = Page::from_html("http://shop.example/a.csv", "name;price\nSilk;5.5\n\"a;b\";\n")?;
    /// let rows = page.csv_rows()?.map(|row| page.item_of::<Product>(&row?));
    /// let prices: Vec<_> = rows.map(|row| row.map(|row| row.price)).collect::<Result<_>>()?;
    /// assert_eq!(prices, [Some(5.5), None]);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    /// If there is no first row.
    pub fn csv_rows(&self) -> Result<CsvRows<'_>> {
        Ok(CsvRows::new(self)?)
    }
}
