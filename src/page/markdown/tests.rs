use crate::prelude::*;

fn check(html: &str, expected: &str) {
    let page = Page::from_html("http://e.x/a/", html).unwrap();
    assert_eq!(page.markdown(), expected, "{html}");
}

#[test]
fn what_people_read() {
    check("<main><h2> A  b </h2><p>x<p>y</main>", "## A b\n\nx\n\ny");
    check(
        "<main>a<ul><li>x<li>y <b>z</b><ol><li>1<li>2</ol></ul>b</main>",
        "a\n\n* x\n* y **z**\n  1. 1\n  2. 2\n\nb",
    );
    check(
        "<main><pre>a\n  b\n</pre>c <code>d</code></main>",
        "```\na\n  b\n```\n\nc `d`",
    );
    check(
        "<main><blockquote>a<br>b</blockquote>c</main>",
        "> a\n> b\n\nc",
    );
    check(
        "<main><a href=b>x</a> <a href='javascript:y'>z</a><img src=/p.png alt=p></main>",
        "[x](http://e.x/a/b) z![p](http://e.x/p.png)",
    );
    check(
        "<main><table><tr><th>A<th>B<tr><td>1|<td>2</table></main>",
        "| A | B |\n|---|---|\n| 1\\| | 2 |",
    );
    check(
        "<main><nav>n</nav>x<script>s</script><footer>f</footer></main>",
        "x",
    );
    check("<main><b> </b>x<i> y </i>z</main>", "x *y* z");
    check("", "");
}

#[test]
fn the_main_content_is_found() {
    let text = "A long paragraph of text that says something about silk. ".repeat(5);
    let html = format!(
        "<div id=menu><ul><li><a href=/1>One thing and another</a><li><a href=/2>Two</a></ul></div>
         <div id=content><h1>Silk</h1><p>{text}</p><p>{text}</p></div><div id=side><p>Short.</p></div>"
    );
    let page = Page::from_html("http://e.x/", html).unwrap();
    assert_eq!(page.main().attr("id"), Some("content"));
    assert!(page.main_text().starts_with("Silk\n\nA long"));
    assert!(
        page.get::<String>("#content::markdown")
            .unwrap()
            .starts_with("# Silk\n\nA long")
    );
}
