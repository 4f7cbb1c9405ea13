use std::sync::Arc;

use super::*;
use crate::item::{Column, Field, Kind, Schema, Value};

fn item(title: &str, image: Option<&str>) -> Record {
    let column = |name: &'static str, nullable| Column {
        name: name.into(),
        kind: Kind::Text,
        nullable,
    };
    let columns = vec![column("title", false), column("image", true)];
    let schema = Arc::new(Schema::new("books", columns, &[]).unwrap());
    let image = image.map(str::to_owned).into_value().unwrap();
    Record::new(schema, vec![Value::Text(title.to_owned()), image]).unwrap()
}

fn run(stages: &Pipelines, items: Vec<Record>) -> (Page, Result) {
    let page = Page::from_html("http://shop.example/list/1", "").unwrap();
    for item in items {
        page.emit_record(item);
    }
    let runtime = tokio::runtime::Builder::new_current_thread();
    let outcome = { runtime }.build().unwrap().block_on(stages.run(&page));
    (page, outcome)
}

fn titles(page: &Page) -> Vec<String> {
    let emitted = page.emitted();
    let titles = emitted.records.iter().map(|item| item.text("title"));
    titles.map(|title| title.unwrap().to_owned()).collect()
}

#[test]
fn stages_run_in_order_and_drop_with_a_reason() {
    let stages = Pipelines::new()
        .each(async |mut item, _| {
            let title = format!("{}1", item.text("title").unwrap_or_default());
            item.set("title", title)?;
            Ok(item.into())
        })
        .each(async |item, _| match item.text("title") {
            Some("b1") => Ok(Processed::drop("no b")),
            _ => Ok(item.into()),
        })
        .each(async |mut item, _| {
            tokio::task::yield_now().await;
            let title = format!("{}2", item.text("title").unwrap_or_default());
            item.set("title", title)?;
            Ok(item.into())
        });
    let items = ["a", "b", "c", "b"].map(|title| item(title, None));
    let (page, outcome) = run(&stages, items.to_vec());
    outcome.unwrap();
    assert_eq!(titles(&page), ["a12", "c12"]);
    let emitted = page.emitted();
    let dropped = &emitted.dropped[..];
    assert_eq!(dropped.len(), 1);
    assert_eq!(
        (
            dropped[0].table.as_str(),
            dropped[0].reason.as_str(),
            dropped[0].count
        ),
        ("books", "no b", 2)
    );
}

#[test]
fn an_error_of_a_stage_is_the_pages() {
    let stages = Pipelines::new().each(async |mut item, _| {
        item.set("title", 7)?;
        Ok(item.into())
    });
    let (_, outcome) = run(&stages, vec![item("a", None)]);
    let error = outcome.unwrap_err().to_string();
    assert_eq!(
        error,
        "field `title` of `books`: another kind of value than the column's"
    );
    let stages = Pipelines::new().each(async |mut item, _| {
        item.set("titel", 7)?;
        Ok(item.into())
    });
    let (_, outcome) = run(&stages, vec![item("a", None)]);
    let error = outcome.unwrap_err().to_string();
    assert_eq!(error, "field `titel` of `books`: there is no such column");
}

#[test]
fn files_of_an_item_are_requested() {
    let stages = Pipelines::new().with(Download::of("image"));
    let items = vec![item("a", Some("../i/a.png")), item("b", None)];
    let (page, outcome) = run(&stages, items);
    outcome.unwrap();
    let emitted = page.emitted();
    assert_eq!(emitted.requests.len(), 1);
    let url = "http://shop.example/i/a.png";
    assert_eq!(emitted.requests[0].url.as_str(), url);
    assert!(emitted.requests[0].step.is_file());
    // As the table `file` has it.
    assert_eq!(emitted.records[0].text("image"), Some(url));
}
