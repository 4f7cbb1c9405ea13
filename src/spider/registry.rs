//! Spiders find themselves: every `#[spider]` in the binary is registered.

use std::sync::Arc;

use super::{Args, ArgsError, Spider, StepInfo};

/// A spider that can be made by name.
pub struct Registration {
    /// Its name.
    pub name: &'static str,
    /// The first line of its doc comment.
    pub about: &'static str,
    /// Where it is written.
    pub file: &'static str,
    /// Its steps.
    pub steps: fn() -> &'static [StepInfo],
    /// Makes it from `-a name=value` arguments.
    pub make: fn(&Args) -> Result<Arc<dyn Spider>, ArgsError>,
}

inventory::collect!(Registration);

/// A Cargo package whose spiders are in this program: `spiders!()` registers it.
#[derive(Debug)]
pub struct Package {
    /// The folder of its `Cargo.toml` at the time of the build.
    pub folder: &'static str,
}

inventory::collect!(Package);

/// The packages whose spiders are in this program.
pub fn packages() -> impl Iterator<Item = &'static Package> {
    inventory::iter::<Package>()
}

/// All spiders of this program, by name.
pub fn registered() -> Vec<&'static Registration> {
    let mut all: Vec<_> = inventory::iter::<Registration>().collect();
    all.sort_by_key(|registration| registration.name);
    all
}

/// The spider called `name`.
pub fn find(name: &str) -> Option<&'static Registration> {
    inventory::iter::<Registration>().find(|registration| registration.name == name)
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registration({} in {})", self.name, self.file)
    }
}
