//! As much of the WebAssembly binary format as it takes to list a module's imports.
//!
//! Source: WebAssembly Core Specification, 5.5 "Modules".

use anyhow::{Context as _, Result, bail};

const IMPORT_SECTION: u8 = 2;

/// The names of the modules that a wasm file imports from, each once, in order.
pub(super) fn imported_modules(wasm: &[u8]) -> Result<Vec<String>> {
    let Some(mut rest) = wasm.strip_prefix(b"\0asm\x01\0\0\0") else { bail!("not a wasm module") };
    let mut modules: Vec<String> = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let (section, after) = after.split_at_checked(size).context("a section is cut short")?;
        if *id == IMPORT_SECTION {
            for module in section_modules(section)? {
                if !modules.contains(&module) {
                    modules.push(module);
                }
            }
        }
        rest = after;
    }
    Ok(modules)
}

fn section_modules(section: &[u8]) -> Result<Vec<String>> {
    let (count, mut rest) = number(section)?;
    let mut modules = Vec::new();
    for _ in 0..count {
        let (module, after) = name(rest)?;
        modules.push(module);
        let (_, after) = name(after)?;
        let (kind, after) = after.split_first().context("an import has no kind")?;
        rest = match kind {
            // A function: its type's index.
            0 => number(after)?.1,
            // A table: the type of its elements, then its limits.
            1 => limits(after.get(1..).context("a table has no type")?)?,
            // A memory.
            2 => limits(after)?,
            // A global: its type and whether it can change.
            3 => after.get(2..).context("a global has no type")?,
            // A tag: an attribute, then its type's index.
            4 => number(after.get(1..).context("a tag has no type")?)?.1,
            other => bail!("an import of the unknown kind {other}"),
        };
    }
    Ok(modules)
}

fn limits(bytes: &[u8]) -> Result<&[u8]> {
    let (flags, rest) = bytes.split_first().context("no limits")?;
    let rest = number(rest)?.1;
    if flags & 1 == 1 { Ok(number(rest)?.1) } else { Ok(rest) }
}

fn name(bytes: &[u8]) -> Result<(String, &[u8])> {
    let (length, rest) = number(bytes)?;
    let (name, rest) = rest.split_at_checked(length).context("a name is cut short")?;
    Ok((String::from_utf8(name.to_vec())?, rest))
}

/// An unsigned LEB128 number.
fn number(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    bail!("a number is cut short or too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn every_kind_of_import_is_listed() {
        let imports: &[u8] = b"\x04\x03env\x01f\0\x00\x03env\x01m\x02\x01\x01\x02\x01j\x01g\x03\x7f\x00\x01t\x01t\x01\x70\x00\x01";
        let mut wasm = EMPTY.to_vec();
        // A custom section before it is passed over.
        wasm.extend(b"\0\x02\x01x");
        wasm.extend([IMPORT_SECTION, u8::try_from(imports.len()).unwrap()]);
        wasm.extend(imports);
        assert_eq!(imported_modules(&wasm).unwrap(), ["env", "j", "t"]);
    }

    #[test]
    fn a_module_without_imports_has_none() {
        assert!(imported_modules(EMPTY).unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let cut = [EMPTY, b"\x02\x05\x01\x03en"].concat();
        assert!(imported_modules(&cut).is_err());
        assert!(imported_modules(b"\0asm").is_err());
    }
}
