use std::cell::Cell;
use std::fmt::Write;

use ego_tree::iter::Edge;

use super::*;

/// A clock by which every look takes a millisecond, so that time is work.
fn parse_counted(text: &str, limits: &ParseLimits) -> (Parsed, u64) {
    let looks = Cell::new(0);
    let clock = || {
        looks.set(looks.get() + 1);
        Duration::from_millis(looks.get())
    };
    let parsed = parse_by(text, limits, &clock);
    (parsed, looks.get())
}

const UNHURRIED: ParseLimits = ParseLimits {
    time: Duration::MAX,
    nodes: 100_000,
    depth: 512,
    attributes: 1_000,
    text: usize::MAX,
};

fn depth(html: &Html) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for edge in html.tree.root().traverse() {
        match edge {
            Edge::Open(_) => depth += 1,
            Edge::Close(_) => depth -= 1,
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn all_text(html: &Html) -> String {
    html.root_element().text().collect()
}

/// Unclosed, each unlike the others.
fn fonts(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let _ = write!(text, "<font size={n}>");
        text
    })
}

#[test]
fn ordinary_pages_are_as_ever() {
    let mut long = String::from("<!doctype html><html lang=en><head><title>a &amp; b</title>");
    for n in 0..400 {
        let _ = write!(
            long,
            "<div class='x{n} y'><p>\u{e9}&eacute;\r\n<b><i>mis</b>nested</i><a href=/{n}?a&amp=b>\
             <table>foster<tr><td>{n}<tr><td><select><option>1<option>2</select></table>\
             <svg viewbox=1><path/></svg><script>if (a<b) '</div>'</script>"
        );
    }
    let comment = format!("<p>a<!-- {} --><b>c</b>", "<p a b c> word".repeat(3_000));
    let image = format!("<img alt=x src='data:{}'><b>c</b>", "QUJD ".repeat(10_000));
    let script = format!("<script>{}</script><b>c</b>", "a<b c d e; ".repeat(3_000));
    let check = |text: &str| {
        let (parsed, _) = parse_counted(text, &UNHURRIED);
        let start = text.get(..60).unwrap_or(text);
        assert_eq!(parsed.truncation, None, "{start}");
        assert!(
            parsed.html.html() == Html::parse_document(text).html(),
            "another tree: {start}"
        );
    };
    check("");
    check("\u{feff}<p>x");
    check("text");
    check("a\0b<p \0=1>\0");
    check("<template><p>x</template><p>y");
    check("<b><p>1<p>2</b><p>3");
    check("<p");
    check(&long);
    check(&comment);
    check(&image);
    check(&script);
}

#[test]
fn work_is_counted() {
    let looks = |text: &str| {
        let (parsed, looks) = parse_counted(text, &UNHURRIED);
        assert!(parsed.truncation < Some(Truncation::Nodes), "{text:.20}");
        looks
    };
    // Four times the work for twice the input is what must not go unseen.
    let is_square = |once: &str, twice: &str| {
        let (once, twice) = (looks(once), looks(twice));
        assert!(twice > 3 * once, "{once} {twice}");
    };
    is_square(&"<div>".repeat(1_000), &"<div>".repeat(2_000));
    is_square(&fonts(1_000), &fonts(2_000));
    let once = looks(&"<p>x".repeat(10_000));
    let twice = looks(&"<p>x".repeat(20_000));
    assert!((once..3 * once).contains(&twice), "{once} {twice}");
}

#[test]
fn what_takes_too_long_ends_early() {
    let limits = ParseLimits {
        time: Duration::from_millis(40),
        ..UNHURRIED
    };
    let check = |text: &str| {
        let html = format!("<title>t</title><h1>first</h1>{text}<p>last");
        let (parsed, looks) = parse_counted(&html, &limits);
        let start = &text[..text.len().min(20)];
        assert_eq!(parsed.truncation, Some(Truncation::Time), "{start}");
        assert_eq!(looks, 41, "{start}");
        let text = all_text(&parsed.html);
        assert!(text.starts_with("tfirst"), "{start}: {text:?}");
        assert!(!text.contains("last"), "{start}");
    };
    check(&"<div>".repeat(40_000));
    check(&"<table><tr><td>".repeat(10_000));
    check(&"<table><b>x".repeat(10_000));
    check(&"<b><p></p>".repeat(10_000));
    check(&"<a><div>".repeat(10_000));
    check(&"<svg><desc>".repeat(10_000));
    check(&fonts(10_000));
    check(&"x\0".repeat(1_000_000));
}

#[test]
fn there_is_always_a_root() {
    let limits = ParseLimits {
        time: Duration::ZERO,
        ..UNHURRIED
    };
    for text in ["", "x", "<html lang=en><p>x", "<!-- x"] {
        let (parsed, _) = parse_counted(text, &limits);
        assert_eq!(parsed.html.root_element().value().name(), "html", "{text}");
    }
}

#[test]
fn too_deep_is_moved_up() {
    let check = |open: &str, close: &str, count: usize| {
        let html = format!(
            "<body>{}bottom{}<p>last",
            open.repeat(count),
            close.repeat(count)
        );
        let (parsed, _) = parse_counted(&html, &UNHURRIED);
        assert_eq!(parsed.truncation, Some(Truncation::Depth), "{open}");
        // The document, the elements, and a text.
        let depth = depth(&parsed.html);
        assert!((500..=514).contains(&depth), "{open}: {depth}");
        parsed.html
    };
    for (open, close) in [
        ("<div>", "</div>"),
        ("<font color=red>", "</font>"),
        ("<svg>", "</svg>"),
        ("<i><table><tr><td>", "</table></i>"),
    ] {
        let text = all_text(&check(open, close, 800));
        assert_eq!(text, "bottomlast", "{open}");
    }
    // These move whole subtrees, whose lower ends are lost.
    check("<a><div>", "</a>", 600);
    check("<b><div>", "</b>", 600);
}

#[test]
fn too_many_nodes() {
    let check = |tag: &str| {
        let html = format!("<p>first{}", tag.repeat(300_000 / tag.len() + 2));
        let limits = ParseLimits {
            nodes: 1_000,
            ..UNHURRIED
        };
        let (parsed, _) = parse_counted(&html, &limits);
        assert_eq!(parsed.truncation, Some(Truncation::Nodes), "{tag}");
        assert!(all_text(&parsed.html).starts_with("first"), "{tag}");
        let nodes = parsed.html.tree.values().count();
        assert!((500..2_100).contains(&nodes), "{tag}: {nodes}");
    };
    check("<br>");
    check("x<br>");
    check("<!---->");
    check("<br a b c d>");
    check("<select><option>x");
}

#[test]
fn too_many_attributes() {
    let check = |attributes: &str, count: usize, others: usize| {
        let mut html = String::from("<h1>first</h1><p class=\"bottom\"");
        for n in 0..count {
            let _ = write!(html, " {}", attributes.replace('#', &n.to_string()));
        }
        html.push_str(">The bottom</p><a href=/x>y</a>");
        let (parsed, looks) = parse_counted(&html, &UNHURRIED);
        assert_eq!(parsed.truncation, Some(Truncation::Attributes));
        assert_eq!(all_text(&parsed.html), "firstThe bottomy", "{attributes}");
        let bottom = scraper::Selector::parse("p.bottom").expect("a selector");
        let bottom = parsed.html.select(&bottom).next().expect("an element");
        assert_eq!(bottom.value().attrs().count(), others, "{attributes}");
        looks
    };
    check("a#", 1_500, 1_000);
    let looks = check("a#=1", 100_000, 1_000);
    assert!(looks < 20, "{looks}: most of it was skipped");
    check("a#='>'", 100_000, 1_000);
    check("a#=\"<p>\"", 100_000, 1_000);
}

#[test]
fn attributes_that_come_later() {
    let html = (0..3_000).fold(String::from("<p>x"), |mut html, n| {
        let _ = write!(html, "<body a{n}=1>");
        html
    });
    let (parsed, _) = parse_counted(&html, &UNHURRIED);
    assert_eq!(parsed.truncation, Some(Truncation::Attributes));
    let body = parsed.html.root_element().child_elements().last();
    assert_eq!(body.map(|body| body.value().attrs().count()), Some(1_000));
}

/// The real clock, and the pages that took a careless parser half a minute.
#[test]
fn the_clock_is_real() {
    let limits = ParseLimits {
        time: Duration::from_millis(20),
        ..UNHURRIED
    };
    let before = clock::thread_cpu();
    let parsed = parse(&"<div>".repeat(40_000), &limits);
    assert_eq!(parsed.truncation, Some(Truncation::Time));
    let took = clock::thread_cpu().saturating_sub(before);
    assert!(took >= limits.time, "{took:?}");
}

#[test]
fn a_large_tree_has_no_room_to_spare() {
    let (parsed, _) = parse_counted(&"<p class=x>".repeat(20_000), &UNHURRIED);
    let elements = parsed
        .html
        .tree
        .values()
        .filter_map(|node| node.as_element());
    let last = elements.last().unwrap();
    assert_eq!((last.attrs.len(), last.attrs.capacity()), (1, 1));
}
