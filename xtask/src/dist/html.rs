//! What is done to the page that Trunk built, so that it can be served with a strict content security policy.

use anyhow::{Context as _, Result, bail};

/// Make sure that every script of a page is in a file of its own: a policy without `unsafe-inline` refuses others.
///
/// # Errors
/// On a script without a source, and on HTML that ends inside a script's tag.
pub(super) fn refuse_inline_scripts(html: &str) -> Result<()> {
    for script in html.split("<script").skip(1) {
        let (attributes, _) = script.split_once('>').context("a script tag that does not end")?;
        if !attributes.split_whitespace().any(|word| word.starts_with("src=")) {
            bail!("an inline script, which the page's own policy refuses: <script{attributes}>");
        }
    }
    Ok(())
}

/// Take the integrity off the module's preload.
///
/// Chromium knows none on preloads of this kind (crbug.com/981419). It warns of it on the console, and quotes the page's
/// address with everything in its fragment, before a script could wipe that.
pub(super) fn drop_module_integrity(html: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_in_files_of_their_own_pass() {
        let page = "<script src=\"a.js\" defer></script><script\ntype=\"text/plain\"\nsrc=\"b.js\"></script>";
        refuse_inline_scripts(page).unwrap();
        refuse_inline_scripts("<p>text</p>").unwrap();
    }

    #[test]
    fn an_inline_script_is_refused() {
        for page in [
            "<script>let x = 1;</script>",
            "<script type=\"importmap\">{}</script>",
            "<script data-src=\"a\"></script>",
        ] {
            let all = format!("<script src=\"a.js\"></script>{page}");
            refuse_inline_scripts(&all).unwrap_err();
        }
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
        refuse_inline_scripts("<p><script src=\"a.js\"").unwrap_err();
    }
}
