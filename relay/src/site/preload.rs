//! What a page loads first, as a `Link` header (RFC 8288): browsers ask for that before they have parsed a line of it.

use std::fmt::Write as _;

use dayfly_http::HeaderValue;

/// The most that a header names.
const MAX_LINKS: usize = 16;
/// The longest value of an attribute that is taken over.
const MAX_VALUE: usize = 256;

/// The `Link` header for a page: its style sheets, its preloads and its module scripts. `None` where it has none.
pub(super) fn links(page: &[u8]) -> Option<HeaderValue> {
    let page = std::str::from_utf8(page).ok()?;
    let links: Vec<String> = tags(page).filter_map(link).take(MAX_LINKS).collect();
    (!links.is_empty()).then(|| HeaderValue::try_from(links.join(", ")).ok()).flatten()
}

/// Returns what is inside of each `<link>` and `<script>`, comments left out.
fn tags(mut rest: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('<')? + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = &comment[comment.find("-->")?..];
                continue;
            }
            for name in ["link", "script"] {
                let attributes =
                    rest.strip_prefix(name).filter(|rest| rest.starts_with([' ', '\t', '\r', '\n']));
                if let Some(attributes) = attributes {
                    let end = attributes.find('>')?;
                    rest = &attributes[end..];
                    return Some((name, &attributes[..end]));
                }
            }
        }
    })
}

/// Returns the link that one tag makes.
fn link((tag, attributes): (&str, &str)) -> Option<String> {
    let get = |name| attribute(attributes, name).filter(|value| !value.is_empty());
    let rel = get("rel").unwrap_or_default();
    let (target, rel, kind) = match (tag, rel) {
        ("script", _) if get("type") == Some("module") => (get("src"), "modulepreload", None),
        ("link", "modulepreload") => (get("href"), rel, None),
        ("link", "preload") => (get("href"), rel, get("as")),
        ("link", "stylesheet") => (get("href"), "preload", Some("style")),
        _ => return None,
    };
    let mut link = format!("<{}>; rel={rel}", target?);
    // Unless a preload is asked for as the page itself asks, it is thrown away and asked for again.
    for (name, value) in [("as", kind), ("type", get("type")), ("integrity", get("integrity"))] {
        if let Some(value) = value.filter(|_| tag == "link" || name == "integrity") {
            let _ = write!(link, "; {name}=\"{value}\"");
        }
    }
    match attribute(attributes, "crossorigin") {
        Some("use-credentials") => link.push_str("; crossorigin=use-credentials"),
        Some(_) => link.push_str("; crossorigin"),
        None => {}
    }
    Some(link)
}

/// The value of an attribute; empty where it has none in quotes, or one that could end the header's.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start();
        let end = rest.find(|c: char| c == '=' || c == '/' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        if rest.is_empty() {
            return None;
        }
        let (found, after) = rest.split_at(end);
        let value = match after.strip_prefix("=\"") {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                rest = after;
                value
            }
            None => {
                rest = after.get(1..).unwrap_or_default();
                ""
            }
        };
        if found == name {
            let plain = value.len() <= MAX_VALUE
                && value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\,;&".contains(&byte));
            return Some(if plain { value } else { "" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(page: &str) -> String {
        links(page.as_bytes()).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn what_a_page_loads_first_is_named_as_the_page_asks_for_it() {
        assert_eq!(
            of(r#"<link rel="stylesheet" href="./a.css" integrity="sha384-x/y="/>"#),
            r#"<./a.css>; rel=preload; as="style"; integrity="sha384-x/y=""#
        );
        assert_eq!(
            of(
                r#"<link rel="preload" href="./a.wasm" crossorigin="anonymous" as="fetch" type="application/wasm">"#
            ),
            r#"<./a.wasm>; rel=preload; as="fetch"; type="application/wasm"; crossorigin"#
        );
        assert_eq!(
            of(r#"<script src="./m.js" async integrity="sha384-z" type="module"></script>"#),
            r#"<./m.js>; rel=modulepreload; integrity="sha384-z""#
        );
        assert_eq!(
            of(
                "<link rel=\"modulepreload\" href=\"./g.js\">\n<link rel=\"preload\" href=\"b\" as=\"image\">"
            ),
            r#"<./g.js>; rel=modulepreload, <b>; rel=preload; as="image""#
        );
    }

    #[test]
    fn what_comes_later_or_not_at_all_is_not_named() {
        for page in [
            "",
            "<",
            "<link",
            "<link ",
            "<linkrel=\"preload\" href=\"a\">",
            r#"<!-- <link rel="preload" href="a" as="fetch"> -->"#,
            r#"<!-- <link rel="preload" href="a" as="fetch">"#,
            r#"<link rel="icon" href="a.svg">"#,
            r#"<script src="t.js" type="text&#x2F;plain"></script>"#,
            r#"<script src="t.js"></script>"#,
            r#"<link rel="preload" as="fetch">"#,
            r#"<link rel="preload" href as="fetch">"#,
        ] {
            assert_eq!(of(page), "", "{page}");
        }
    }

    #[test]
    fn no_value_ends_the_header_or_its_link() {
        for value in ["a>; rel=preload", "a, <b>", "a;b", "a b", "a\r\nx: y", "ä", "a&gt;b", &"a".repeat(300)]
        {
            assert_eq!(of(&format!("<link rel=\"modulepreload\" href=\"{value}\">")), "", "{value}");
            let integrity = of(&format!("<link rel=\"modulepreload\" href=\"a\" integrity=\"{value}\">"));
            assert!(!integrity.contains("integrity"), "{integrity}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_page_can_be_looked_through(page in "(<link |<script |rel=\"preload\" |href=\"|\"|>|<!--|-->|[a-zäö/= ]){0,40}") {
            let _ = links(page.as_bytes());
        }
    }
}
