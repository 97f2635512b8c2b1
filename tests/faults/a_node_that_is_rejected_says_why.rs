//! An auth key that Headscale does not take ends the node with an error that has Headscale's words, and with no second
//! attempt.

use anyhow::{Result, bail, ensure};
use dayfly_node::ControlError;
use dayfly_tests::{
    Headscale, HeadscaleOptions, KeyOptions, Lab, NativeNode, NativeOptions, Relay, RelayOptions, scenario,
};

#[test]
fn about_its_key() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;

        let (id, expired) = headscale.preauth_key_with_id(&KeyOptions::default())?;
        headscale.expire_key(&id)?;
        let used = headscale.ephemeral_key()?;
        let first = NativeNode::join(lab, headscale.url(), NativeOptions::new("first", &used))?;

        let known: Vec<String> = headscale.nodes()?.into_iter().map(|node| node.name).collect();
        let last = if used.ends_with('0') { '1' } else { '0' };
        let wrong = format!("{}{last}", used.get(..used.len() - 1).unwrap_or_default());
        for (name, key, words) in [
            ("wrong", wrong.as_str(), "invalid"),
            ("malformed", "no-key-at-all", "invalid"),
            ("expired", &expired, "expired"),
            ("used", &used, "used"),
        ] {
            let text = refusal(lab, &headscale, name, key)?;
            ensure!(text.to_lowercase().contains(words), "the {name} key is refused in these words: {text}");
            ensure!(!text.contains(key), "the key itself is in the error: {text}");
        }
        let now: Vec<String> = headscale.nodes()?.into_iter().map(|node| node.name).collect();
        ensure!(now == known, "a refused node is at Headscale: {now:?}");
        drop(first);
        Ok(())
    })
}

/// The text by which a node with this key is refused.
fn refusal(lab: &Lab, headscale: &Headscale, name: &str, key: &str) -> Result<String> {
    let node = NativeNode::start(lab, headscale.url(), NativeOptions::new(name, key))?;
    match node.until_ended()? {
        Some(ControlError::Register(text)) => Ok(text),
        other => bail!("the {name} key ended in {other:?}"),
    }
}
