//! Methods that are told of failures: `#[step(failed = handler)]`.

use syn::{ImplItem, ImplItemFn, ItemImpl, Path, ReturnType, Type, parse_quote};

use super::step::{is_shared, second_type, yields};
use crate::fail::fail;

/// The method that `#[step(failed = ..)]` names.
pub(super) struct Handler {
    pub(super) path: Path,
    /// What it returns in its `Result`; `_` where that can't be seen.
    pub(super) yields: Type,
}

impl Handler {
    pub(super) fn new(path: Path) -> Self {
        let yields = parse_quote!(_);
        Self { path, yields }
    }

    /// Looks at the method, if it stands in the block; of others the compiler knows.
    pub(super) fn look_up(&mut self, block: &ItemImpl) -> syn::Result<()> {
        let Some(function) = self.find(block) else {
            return Ok(());
        };
        let signature = &function.sig;
        let is_failure = second_type(signature).is_some_and(|name| name == "Failure");
        let takes_self = signature.receiver();
        let takes_self = takes_self.is_some_and(|receiver| is_shared(&receiver.kind));
        let is_handler = signature.asyncness.is_some() && takes_self && signature.inputs.len() == 2;
        match &signature.output {
            ReturnType::Type(_, output) if is_handler && is_failure => {
                self.yields = yields(output);
                Ok(())
            }
            _ => {
                let name = &signature.ident;
                let message = format!(
                    "no handler: write `async fn {name}(&self, failure: Failure) -> Result`"
                );
                fail(&self.path, message)
            }
        }
    }

    fn find<'a>(&self, block: &'a ItemImpl) -> Option<&'a ImplItemFn> {
        let last = self.path.segments.last()?;
        let is_own = self.path.segments.len() == 1 || self.path.segments[0].ident == "Self";
        block.items.iter().find_map(|item| match item {
            ImplItem::Fn(function) if is_own && function.sig.ident == last.ident => Some(function),
            _ => None,
        })
    }
}
