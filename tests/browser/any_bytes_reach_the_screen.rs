//! What a program prints is shown as it is meant: characters split between packets, wide ones, emoji, and bytes that
//! are no characters at all. What is typed arrives byte for byte, and the far end learns a new size.

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::{Browser, Engine, Page};

in_each_engine!(bytes);

fn bytes(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;
        let page = Page::open_shell(&browser, &tailnet.shell_page(MACHINE)?)?;

        split(&page).context("characters split between packets")?;
        wide(&page).context("wide characters and emoji")?;
        invalid(&page).context("bytes that are no UTF-8")?;
        typed(&page).context("what is typed")?;

        browser.run("dayfly.resizeTerminal(100, 30)", &[])?;
        let size = page.command(
            "for i in $(seq 200); do [ \"$(stty size)\" = '30 100' ] && break; sleep 0.05; done; stty size",
        )?;
        ensure!(size.text == "30 100", "the far end's terminal has the size {}", size.text);
        Ok(())
    })
}

/// Each pause lets what was printed before it leave as a packet of its own.
fn split(page: &Page<'_>) -> Result<()> {
    let pieces = page.command(
        "for b in 346 227 245 346 234 254 ' ' 360 237 246 213 ' ' 303 251; \
         do case $b in ' ') printf ' ';; *) printf \"\\\\$b\";; esac; sleep 0.05; done",
    )?;
    ensure!(pieces.text == "日本 🦋 é", "the page shows {:?}", pieces.text);

    // Far more than a packet holds, and of lengths that no packet's length is a multiple of.
    let many = page.command("yes '日本語x🦋é' | head -n 2500")?;
    let (lines, wrong): (Vec<&str>, Vec<&str>) = many.text.lines().partition(|line| *line == "日本語x🦋é");
    ensure!(wrong.is_empty() && lines.len() == 2500, "{} lines are right, these not: {wrong:?}", lines.len());
    Ok(())
}

fn wide(page: &Page<'_>) -> Result<()> {
    // The cursor's column, as the terminal itself reports it, tells how wide it takes the text to be.
    let text = "中文 한국어 日本語 🦋 👩‍🚀 ünï";
    let said = page.command(&format!(
        "printf '\\r%s' '{text}'; IFS='[;' read -rs -d R -p $'\\e[6n' _ _ column; printf '\\n%s' \"$column\""
    ))?;
    ensure!(said.text.lines().any(|line| line == text), "the page shows {:?}", said.text);
    // 4 + 1 + 6 + 1 + 6 + 1 + 2 + 1 + 2 + 1 + 3 cells, and the one after them.
    ensure!(said.text.ends_with("\n29"), "the cursor is after another column than 28: {:?}", said.text);
    Ok(())
}

fn invalid(page: &Page<'_>) -> Result<()> {
    let broken = page.command("printf 'a\\377b\\300\\257c\\355\\240\\200d\\360\\237x\\n'; echo after")?;
    let (line, after) = broken.text.split_once('\n').context("the text after it is missing")?;
    ensure!(after == "after", "what follows is {after:?}");
    let kept: String = line.chars().filter(|c| *c != '\u{fffd}').collect();
    ensure!(kept == "abcdx", "among the broken bytes the text became {line:?}");
    let runs = line.split(|c: char| c.is_ascii()).filter(|run| !run.is_empty()).count();
    ensure!(runs == 4, "each of the four broken places is to show U+FFFD: {line:?}");
    Ok(())
}

fn typed(page: &Page<'_>) -> Result<()> {
    page.type_text("printf 'ready-%s\\n' now; head -n 1 | od -An -v -tx1 | tr -d ' \\n'; echo ' typed'\r")?;
    // What is typed ahead of that would be the shell's to read.
    page.see("ready-now")?;
    page.type_text("grüße 你好 🦋\r")?;
    let bytes: String = "grüße 你好 🦋\n".bytes().map(|byte| format!("{byte:02x}")).collect();
    page.see(&format!("{bytes} typed"))
}
