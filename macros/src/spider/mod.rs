//! `#[spider]`: an `impl` block becomes a spider.

mod attribute;
mod code;
mod handler;
mod literals;
mod step;

use proc_macro2::TokenStream;
use syn::{ImplItem, ItemImpl, Type};

use crate::fail::Failures;
use attribute::Attribute;
use step::{Function, Step};

/// An `impl` block whose steps are known.
struct Spider {
    attribute: Attribute,
    name: String,
    about: Option<String>,
    ty: Type,
    steps: Vec<Step>,
    start: Option<syn::Ident>,
    /// Whether it has a method `middleware`.
    middleware: bool,
    /// Whether it has a method `pipeline`.
    pipeline: bool,
    /// Whether it has a method `login` that takes a login.
    login: bool,
    block: ItemImpl,
}

pub(crate) fn expand(attribute: TokenStream, block: TokenStream) -> TokenStream {
    let mut failures = Failures::default();
    let Ok(mut block) = syn::parse2::<ItemImpl>(block.clone()) else {
        failures.at(block, "`#[spider]` stands on an `impl Type { .. }` block");
        return failures.into_code().unwrap_or_default();
    };
    if let Some((path, _)) = &block.trait_ {
        let message = "`#[spider]` stands on an `impl Type { .. }` block, not on one of a trait";
        failures.at(path, message);
        return failures.into_code().unwrap_or_default();
    }
    let attribute = failures
        .ok(syn::parse2(attribute))
        .unwrap_or_else(Attribute::broken);
    let spider = read(attribute, &mut block, &mut failures);
    match failures.into_code() {
        None => code::spider(&spider),
        Some(errors) => code::broken(&spider, &errors),
    }
}

fn read(attribute: Attribute, block: &mut ItemImpl, failures: &mut Failures) -> Spider {
    check_block(block, failures);
    let mut steps = Vec::new();
    let mut start = None;
    let mut middleware = false;
    let mut pipeline = false;
    let mut login = false;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else {
            continue;
        };
        match step::read(function, failures) {
            Function::Step(step) => steps.push(*step),
            Function::Start => start = Some(function.sig.ident.clone()),
            Function::Middleware => middleware = true,
            Function::Pipeline => pipeline = true,
            Function::Login => login = true,
            Function::Other => {}
        }
    }
    for handler in steps.iter_mut().filter_map(|step| step.failed.as_mut()) {
        failures.ok(handler.look_up(block));
    }
    check_steps(&steps, failures);
    check_start(&attribute, &steps, start.as_ref(), block, failures);
    let name = attribute.name.as_ref().map(syn::LitStr::value);
    Spider {
        name: name.unwrap_or_else(|| attribute::default_name(&block.self_ty)),
        about: attribute::first_line(&block.attrs),
        ty: (*block.self_ty).clone(),
        attribute,
        steps,
        start,
        middleware,
        pipeline,
        login,
        block: block.clone(),
    }
}

fn check_block(block: &ItemImpl, failures: &mut Failures) {
    if !block.generics.params.is_empty() {
        failures.at(
            &block.generics,
            "a spider has no type parameters or lifetimes: it is made by name, at run time",
        );
    } else if let Some(clause) = &block.generics.where_clause {
        failures.at(clause, "a spider has no `where` clause");
    }
    if !matches!(&*block.self_ty, Type::Path(_)) {
        failures.at(&block.self_ty, "a spider is a struct");
    }
}

/// Names are unique, former ones included: a queued request must find one step.
fn check_steps(steps: &[Step], failures: &mut Failures) {
    let mut seen = Vec::<&str>::new();
    for step in steps {
        if seen.contains(&step.name.as_str()) {
            let message = format!("two steps are called `{}`", step.name);
            failures.at(&step.name_at, message);
        }
        seen.push(&step.name);
    }
    let mut former = Vec::new();
    for (step, was) in steps
        .iter()
        .flat_map(|step| step.was.iter().map(move |was| (step, was)))
    {
        let name = was.value();
        if seen.contains(&name.as_str()) {
            let message = if step.name == name {
                format!("`{name}` is the step's name now")
            } else {
                format!("`{name}` is the name of another step")
            };
            failures.at(was, message);
        } else if former.contains(&name) {
            failures.at(was, format!("two steps were called `{name}`"));
        }
        former.push(name);
    }
}

fn check_start(
    attribute: &Attribute,
    steps: &[Step],
    start: Option<&syn::Ident>,
    block: &ItemImpl,
    failures: &mut Failures,
) {
    match steps.first() {
        None => failures.at(
            &block.self_ty,
            "a spider has a step: `async fn list(&self, page: Page) -> Result { .. }`",
        ),
        Some(first) => {
            if let (Some(argument), false) = (&first.argument, attribute.start.is_empty()) {
                failures.at(
                    argument,
                    "the first step reads the start URLs, which have no argument: move it down, or \
                     send them in `async fn start(&self, seeds: Seeds) -> Result`",
                );
            }
        }
    }
    if attribute.start.is_empty() && start.is_none() && !attribute.broken {
        let message = "a spider starts somewhere: `#[spider(start = \"https://..\")]`, or \
                       `async fn start(&self, seeds: Seeds) -> Result`";
        failures.at(&block.self_ty, message);
    }
}
