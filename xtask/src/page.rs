//! What is done to the page that Trunk built, so that a strict content security policy can be served with it.
//!
//! Trunk starts the wasm module from a script inside the HTML, which a policy without `unsafe-inline` refuses. Every
//! such script is moved to a file of its own, named by the hash of its contents.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, Result, bail};

/// A page whose scripts are all in files of their own.
pub(crate) struct Externalised {
    /// The changed HTML.
    pub(crate) html: String,
    /// The new files: name and contents.
    pub(crate) files: Vec<(String, String)>,
}

/// Move each inline script of `html` into a file beside it.
///
/// # Errors
/// On inline scripts that can't be in a file of their own (import maps), and on HTML that ends inside a script.
pub(crate) fn externalise_scripts(html: &str) -> Result<Externalised> {
    let mut done = Externalised { html: String::with_capacity(html.len()), files: Vec::new() };
    let mut rest = html;
    while let Some(start) = rest.find("<script") {
        let (before, tag) = rest.split_at(start);
        done.html.push_str(before);
        let open = tag.find('>').context("a script tag that does not end")?;
        let (attributes, after) = (tag.get("<script".len()..open).unwrap_or_default(), &tag[open + 1..]);
        let close = after.find("</script>").context("a script that does not end")?;
        let (body, after) = (&after[..close], &after[close + "</script>".len()..]);
        let words: Vec<&str> =
            attributes.split_whitespace().filter(|word| !word.starts_with("nonce=")).collect();
        if words.iter().any(|word| word.starts_with("src=")) || body.trim().is_empty() {
            done.html.push_str(&tag[..open + 1 + close + "</script>".len()]);
        } else {
            if words.iter().any(|word| word.contains("importmap")) {
                bail!("an inline import map, which no policy without unsafe-inline lets in");
            }
            let name = format!("loader-{}.js", hash(body));
            let attributes = words.iter().map(|word| format!(" {word}")).collect::<String>();
            done.html.push_str(&format!("<script{attributes} src=\"./{name}\"></script>"));
            done.files.push((name, format!("{}\n", body.trim())));
        }
        rest = after;
    }
    done.html.push_str(rest);
    Ok(done)
}

/// Take the integrity off the module's preload.
///
/// Chromium knows none on preloads of this kind (crbug.com/981419). It warns of it on the console, and quotes the page's
/// address with everything in its fragment, before a script could wipe that.
pub(crate) fn drop_module_integrity(html: &str) -> String {
    let mut kept = String::with_capacity(html.len());
    for (index, part) in html.split("<link").enumerate() {
        if index > 0 {
            kept.push_str("<link");
        }
        let (tag, rest) = part.split_at(part.find('>').unwrap_or(part.len()));
        let of_module = index > 0 && tag.contains("rel=\"preload\"") && tag.contains("application/wasm");
        match tag.split_once(" integrity=\"").filter(|_| of_module) {
            Some((before, value)) => {
                kept.push_str(before);
                kept.push_str(value.split_once('"').map_or("", |(_, after)| after));
            }
            None => kept.push_str(tag),
        }
        kept.push_str(rest);
    }
    kept
}

fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_script_becomes_a_file_named_by_its_contents() {
        let page = "<head><script type=\"module\" nonce=\"x\">\nimport init from './a.js';\n</script></head>";
        let done = externalise_scripts(page).unwrap();
        let [(name, body)] = done.files.as_slice() else { panic!("{} files", done.files.len()) };
        assert_eq!(body, "import init from './a.js';\n");
        assert_eq!(done.html, format!("<head><script type=\"module\" src=\"./{name}\"></script></head>"));
        assert!(name.starts_with("loader-") && name.ends_with(".js"));
    }

    #[test]
    fn a_script_with_a_source_stays_as_it_is() {
        let page = "<script src=\"a.js\" defer></script><p>text</p>";
        let done = externalise_scripts(page).unwrap();
        assert_eq!(done.html, page);
        assert!(done.files.is_empty());
    }

    #[test]
    fn an_inline_import_map_is_refused() {
        assert!(externalise_scripts("<script type=\"importmap\">{}</script>").is_err());
    }

    #[test]
    fn only_the_preload_of_the_module_loses_its_integrity() {
        let glue = "<link rel=\"modulepreload\" href=\"a.js\" integrity=\"sha384-x\">";
        let wasm = "<link rel=\"preload\" href=\"a.wasm\" integrity=\"sha384-y\" as=\"fetch\" type=\"application/wasm\">";
        let html = format!("<head>{glue}\n{wasm}</head>");
        assert_eq!(drop_module_integrity(&html), html.replace(" integrity=\"sha384-y\"", ""));
    }

    #[test]
    fn an_unfinished_script_is_refused() {
        assert!(externalise_scripts("<p><script>let x = 1;").is_err());
    }
}
