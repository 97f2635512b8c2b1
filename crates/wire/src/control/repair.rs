//! Reading on where one value of a message is odd: the value is dropped, and the message kept.
//!
//! serde gives up a whole message for one value of another shape. Here the value that it stumbled over is blanked in a copy
//! of the text, and the copy is read: all structs of map messages take their defaults for what is absent.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::tolerant::from_json;

/// Most values that are dropped from one message: each costs reading it once more.
const MAX_DROPPED: usize = 64;

/// Reads one JSON value as [`from_json`] does, without the members and elements that are of another shape than `T` has there.
///
/// A packet filter's rule is dropped as a whole: without one of its values it might admit more than it says.
///
/// # Errors
/// When `json` is no JSON, is no object at all, or has more odd values than are dropped from one message.
pub(super) fn from_json_dropping<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    let mut error = match from_json(json) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut copy = json.to_vec();
    for _ in 0..MAX_DROPPED {
        if !is_odd_value(&error) || drop_item_at(&mut copy, &error).is_none() {
            return Err(error);
        }
        error = match from_json(&copy) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
    }
    Err(error)
}

/// Returns `true` where the text is JSON up to the error. `serde_json` counts a key that should be a number as bad syntax.
fn is_odd_value(error: &serde_json::Error) -> bool {
    let is_key = || error.to_string().starts_with("invalid value: expected key to be a number");
    error.classify() == Category::Data || is_key()
}

/// An object or array around the place of an error.
struct Level {
    /// Start of the member or element that the place is in; none between two.
    item: Option<usize>,
    /// The comma before it.
    comma: Option<usize>,
}

/// Blanks the innermost member or element around the place of an error; `None` where there is none.
fn drop_item_at(json: &mut [u8], error: &serde_json::Error) -> Option<()> {
    let offset = offset_of(json, error)?;
    let levels = levels_at(json, offset);
    let top = json.get(levels.first()?.item?..)?;
    // Depth of a rule in a map message.
    let deepest = if top.starts_with(b"\"PacketFilter\"") {
        1
    } else if top.starts_with(b"\"PacketFilters\"") {
        2
    } else {
        usize::MAX
    };
    let around = levels.iter().enumerate().filter(|(depth, _)| *depth <= deepest);
    let (start, comma) = around.rev().find_map(|(_, level)| Some((level.item?, level.comma)))?;
    let end = end_of_item(json, start);
    json.get_mut(start..end)?.fill(b' ');
    match comma {
        Some(comma) => *json.get_mut(comma)? = b' ',
        None => {
            if let Some(next) = json.get_mut(end).filter(|next| **next == b',') {
                *next = b' ';
            }
        }
    }
    Some(())
}

/// Returns the number of bytes before the place of an error.
fn offset_of(json: &[u8], error: &serde_json::Error) -> Option<usize> {
    let before = error.line().checked_sub(1)?;
    let lines = json.split(|byte| *byte == b'\n');
    let start: usize = lines.take(before).map(|line| line.len() + 1).sum();
    let offset = start.checked_add(error.column())?;
    (offset <= json.len()).then_some(offset)
}

/// Returns the objects and arrays around a place, the outermost first. What is before it is known to be JSON.
fn levels_at(json: &[u8], offset: usize) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        let between = levels.last().is_some_and(|level| level.item.is_none());
        // Serde is before an object or array that it does not expect, and behind anything else.
        if at > offset || at == offset && !between {
            break;
        }
        if matches!(byte, b'}' | b']') {
            if at == offset {
                break;
            }
            levels.pop();
        } else if let Some(level) = levels.last_mut() {
            match byte {
                b',' => *level = Level { item: None, comma: Some(at) },
                byte if byte.is_ascii_whitespace() => {}
                _ => level.item = level.item.or(Some(at)),
            }
        }
        match byte {
            b'{' | b'[' if at < offset => levels.push(Level { item: None, comma: None }),
            b'"' => at = end_of_string(json, at) - 1,
            _ => {}
        }
        at += 1;
    }
    levels
}

/// Returns the end of the string that starts at `start`, behind its closing quote.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

/// Returns the end of the member or element that starts at `start`: where the next comma or closing bracket is.
fn end_of_item(json: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(json, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => return at,
            b'}' | b']' => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return at,
            },
            _ => {}
        }
        at += 1;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::control::{FilterRule, MapFrames, MapResponse, write_map_frame};

    /// Reads a message as it comes from a server.
    fn read(json: &Value) -> MapResponse {
        let body = json.to_string();
        let mut frames = MapFrames::new();
        frames.push(&u32::try_from(body.len()).unwrap().to_le_bytes());
        frames.push(body.as_bytes());
        frames.next_message().unwrap().unwrap()
    }

    #[test]
    fn an_empty_prefix_costs_itself_and_not_the_message() {
        let message = read(&json!({
            "Peers": [
                {"ID": 2, "Name": "a.", "AllowedIPs": ["", "100.64.0.2/32", ""]},
                {"ID": 3, "Name": "b.", "AllowedIPs": [""], "HomeDERP": 7},
            ],
            "Domain": "tail.test",
        }));
        let [a, b] = &message.peers[..] else { panic!() };
        assert_eq!(a.allowed_ips, Some(vec!["100.64.0.2/32".parse().unwrap()]));
        assert_eq!((b.allowed_ips.as_deref(), b.home_derp), (Some(&[][..]), 7));
        assert_eq!(message.domain, "tail.test");
    }

    #[test]
    fn a_value_of_another_shape_costs_itself() {
        for (odd, name) in [
            (json!({"Peers": [{"ID": 2, "Name": "a.", "Key": "nodekey:zz"}]}), "a."),
            (json!({"Peers": [{"ID": 2, "Name": "a.", "Online": {"x": [1, "]"]}, "HomeDERP": -1}]}), "a."),
            (json!({"Peers": [7, {"ID": 2, "Name": "a.", "Hostinfo": [1]}, "\"x,"]}), "a."),
            (json!({"OnlineChange": {"x": true, "2": "y"}, "Peers": [{"ID": 2, "Name": "a."}]}), "a."),
        ] {
            let message = read(&odd);
            assert_eq!(message.peers.len(), 1, "{odd}");
            assert_eq!((message.peers[0].id, &*message.peers[0].name), (2, name), "{odd}");
        }
    }

    #[test]
    fn a_rule_of_a_filter_with_an_odd_value_admits_nothing() {
        let good = json!({"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": 22, "Last": 22}}]});
        let port = json!({"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": "x", "Last": 22}}]});
        let proto = json!({"SrcIPs": ["*"], "IPProto": ["tcp"], "DstPorts": [{"IP": "*"}]});
        let message = read(&json!({"PacketFilter": [port, good], "PacketFilters": {"a": [good, proto]}}));
        let good: Vec<FilterRule> = vec![serde_json::from_value(good).unwrap()];
        assert_eq!(message.packet_filter.as_ref(), Some(&good));
        assert_eq!(message.packet_filters["a"].as_ref(), Some(&good));
    }

    #[test]
    fn what_is_no_json_or_no_object_is_refused_still() {
        for json in ["[]", "7", "{\"Peers\":[{]}", "{\"Domain\":7", "{\"Domain\":7} x", ""] {
            assert!(from_json_dropping::<MapResponse>(json.as_bytes()).is_err(), "{json}");
        }
        let many = format!("{{\"Health\":[{}]}}", vec!["7"; MAX_DROPPED + 1].join(","));
        assert!(from_json_dropping::<MapResponse>(many.as_bytes()).is_err());
    }

    /// Calls `visit` with the path of each scalar.
    fn scalars(value: &Value, path: &str, found: &mut Vec<String>) {
        let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(key, value)| scalars(value, &format!("{path}/{}", escaped(key)), found));
            }
            Value::Array(elements) => {
                elements
                    .iter()
                    .enumerate()
                    .for_each(|(at, value)| scalars(value, &format!("{path}/{at}"), found));
            }
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn each_scalar_of_a_recorded_map_may_be_odd_and_the_rest_survives() {
        let recorded: Value =
            serde_json::from_str(include_str!("testdata/headscale-0.29.3-first-map.json")).unwrap();
        let whole = serde_json::to_value(read(&recorded)).unwrap();
        let mut paths = Vec::new();
        scalars(&recorded, "", &mut paths);
        assert!(paths.len() > 60, "{}", paths.len());
        let leaves = |value: &Value| {
            let mut found = Vec::new();
            scalars(value, "", &mut found);
            found.len()
        };
        for path in paths {
            let is_rule = path.starts_with("/PacketFilter");
            for odd in
                [json!("\u{7f}odd, \"{["), json!(-1.5), json!(false), json!([{"x": [1]}]), json!({"y": "z"})]
            {
                let mut message = recorded.clone();
                *message.pointer_mut(&path).unwrap() = odd.clone();
                let read = serde_json::to_value(read(&message)).unwrap();
                // Values of capabilities are kept as they are, so there an odd one has more leaves, not fewer.
                let lost = leaves(&whole).saturating_sub(leaves(&read));
                assert!(lost <= if is_rule { 4 } else { 1 }, "{path} {odd}: {lost} lost");
            }
        }
    }

    #[test]
    fn a_message_without_odd_values_is_read_as_before() {
        let message = MapResponse { domain: "tail.test".to_owned(), ..MapResponse::default() };
        let (mut out, mut frames) = (Vec::new(), MapFrames::new());
        write_map_frame(&message, &mut out).unwrap();
        frames.push(&out);
        assert_eq!(frames.next_message().unwrap(), Some(message));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, at in 0..200_usize, byte: u8) {
            let _ = from_json_dropping::<MapResponse>(text.as_bytes());
            let mut json = include_bytes!("testdata/headscale-0.29.3-first-map.json").to_vec();
            let length = json.len();
            json[(at * 37) % length] = byte;
            let _ = from_json_dropping::<MapResponse>(&json);
        }
    }
}
