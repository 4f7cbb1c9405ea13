//! XPath 1.0, checked for what only fails once it is evaluated.

use xpath_eval::{Expr, FilterExpr, LocationPath, NodeTest, PathExpr, PrimaryExpr, QName, Step};

use crate::Invalid;

/// An XPath expression.
#[derive(Clone, Debug)]
pub struct XPath {
    /// The expression.
    pub expression: Expr,
    /// Whether it compares sets of nodes with each other, which costs their product.
    pub compares_sets: bool,
}

/// Functions with the least and the most arguments they take.
const FUNCTIONS: [(&str, usize, usize); 27] = [
    ("boolean", 1, 1),
    ("ceiling", 1, 1),
    ("concat", 2, usize::MAX),
    ("contains", 2, 2),
    ("count", 1, 1),
    ("false", 0, 0),
    ("floor", 1, 1),
    ("id", 1, 1),
    ("lang", 1, 1),
    ("last", 0, 0),
    ("local-name", 0, 1),
    ("name", 0, 1),
    ("namespace-uri", 0, 1),
    ("normalize-space", 0, 1),
    ("not", 1, 1),
    ("number", 0, 1),
    ("position", 0, 0),
    ("round", 1, 1),
    ("starts-with", 2, 2),
    ("string", 0, 1),
    ("string-length", 0, 1),
    ("substring", 2, 3),
    ("substring-after", 2, 2),
    ("substring-before", 2, 2),
    ("sum", 1, 1),
    ("translate", 3, 3),
    ("true", 0, 0),
];

impl XPath {
    pub(crate) fn parse(source: &str) -> Result<Self, Invalid> {
        let invalid = |reason| Invalid {
            what: "XPath",
            reason,
        };
        if source.is_empty() {
            return Err(invalid("nothing is selected".to_owned()));
        }
        let expression = xpath_eval::parse(source).map_err(|error| {
            let before = source.get(..error.position).unwrap_or(source);
            let at = before.chars().count() + 1;
            invalid(format!("{}, at character {at}", error.message))
        })?;
        let mut check = Check {
            compares_sets: false,
        };
        check.expr(&expression).map_err(invalid)?;
        Ok(Self {
            expression,
            compares_sets: check.compares_sets,
        })
    }
}

/// Walks through an expression.
struct Check {
    compares_sets: bool,
}

impl Check {
    fn expr(&mut self, expr: &Expr) -> Result<(), String> {
        match expr {
            Expr::Equality(left, _, right) | Expr::Relational(left, _, right) => {
                self.comparison(left, right)
            }
            Expr::Or(left, right)
            | Expr::And(left, right)
            | Expr::Additive(left, _, right)
            | Expr::Multiplicative(left, _, right) => self.both(left, right),
            Expr::Union(left, right) => {
                if is_set(left) && is_set(right) {
                    self.both(left, right)
                } else {
                    Err("`|` stands between two paths".to_owned())
                }
            }
            Expr::Negate(inner) => self.expr(inner),
            Expr::Path(PathExpr::Location(path)) => self.path(path),
            Expr::Path(PathExpr::Filter(filter)) => self.filter(filter),
            Expr::Path(PathExpr::FilterLocation(filter, path)) => {
                self.filter(filter)?;
                self.path(path)
            }
        }
    }

    fn both(&mut self, left: &Expr, right: &Expr) -> Result<(), String> {
        self.expr(left)?;
        self.expr(right)
    }

    fn comparison(&mut self, left: &Expr, right: &Expr) -> Result<(), String> {
        self.compares_sets |= is_set(left) && is_set(right);
        self.both(left, right)
    }

    fn path(&mut self, path: &LocationPath) -> Result<(), String> {
        path.steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if let NodeTest::QName(QName {
            prefix: Some(prefix),
            ..
        })
        | NodeTest::NamespaceWildcard(prefix) = &step.node_test
        {
            return Err(format!(
                "no namespace `{prefix}:` in HTML: write the name alone"
            ));
        }
        step.predicates
            .iter()
            .try_for_each(|predicate| self.expr(predicate))
    }

    fn filter(&mut self, filter: &FilterExpr) -> Result<(), String> {
        match &filter.primary {
            PrimaryExpr::Variable(name) => return Err(format!("no variable `${}`", name.local)),
            PrimaryExpr::Parenthesized(inner) => self.expr(inner)?,
            PrimaryExpr::Literal(_) | PrimaryExpr::Number(_) => {}
            PrimaryExpr::Function(call) => {
                let name = &call.name;
                let known = FUNCTIONS
                    .iter()
                    .find(|(known, ..)| name.prefix.is_none() && *known == name.local);
                let Some(&(_, least, most)) = known else {
                    return Err(format!("XPath 1.0 has no function `{}`", name.local));
                };
                let given = call.args.len();
                if given < least || given > most {
                    return Err(arity(&name.local, least, most, given));
                }
                let first = call.args.first();
                if matches!(name.local.as_str(), "count" | "sum") && !first.is_some_and(is_set) {
                    return Err(format!("`{}` takes a path", name.local));
                }
                call.args.iter().try_for_each(|arg| self.expr(arg))?;
            }
        }
        if !filter.predicates.is_empty() && !is_primary_set(&filter.primary) {
            return Err("`[..]` stands after a path".to_owned());
        }
        filter
            .predicates
            .iter()
            .try_for_each(|predicate| self.expr(predicate))
    }
}

fn arity(name: &str, least: usize, most: usize, given: usize) -> String {
    let wanted = match (least, most) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    format!("`{name}` takes {wanted} arguments, not {given}")
}

/// Whether an expression is a set of nodes.
fn is_set(expr: &Expr) -> bool {
    match expr {
        Expr::Union(..) | Expr::Path(PathExpr::Location(_) | PathExpr::FilterLocation(..)) => true,
        Expr::Path(PathExpr::Filter(filter)) => is_primary_set(&filter.primary),
        _ => false,
    }
}

fn is_primary_set(primary: &PrimaryExpr) -> bool {
    match primary {
        PrimaryExpr::Parenthesized(inner) => is_set(inner),
        PrimaryExpr::Function(call) => call.name.local == "id",
        _ => false,
    }
}
