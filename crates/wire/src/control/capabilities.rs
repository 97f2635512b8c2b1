//! Capabilities: what a node may do, or what a peer may do with an application of a node.

use dayfly_sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::RawJson;

/// Capabilities by name, each with its values (tailcfg `NodeCapMap` and `PeerCapMap`).
///
/// A capability counts by being there, with or without values; `null` for none is the same as an empty list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CapMap(SortedMap<String, Vec<RawJson>>);

impl CapMap {
    /// Returns `true` when there is no capability.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` when there is the capability `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns the values of the capability `name`.
    #[must_use]
    pub fn values(&self, name: &str) -> Option<&[RawJson]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Adds a capability with its values, or replaces them.
    pub fn insert(&mut self, name: impl Into<String>, values: Vec<RawJson>) {
        self.0.insert(name.into(), values);
    }

    /// Returns all capabilities in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[RawJson])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }
}

impl FromIterator<String> for CapMap {
    /// Makes capabilities without values.
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().map(|name| (name, Vec::new())).collect())
    }
}

/// Capabilities that sources of a filter rule have with applications at some addresses (tailcfg `CapGrant`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CapGrant {
    /// Prefixes of this node that the grant is for.
    pub dsts: Vec<super::IpPrefix>,
    /// Names of capabilities without values, as old servers write them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// Capabilities with their values.
    #[serde(skip_serializing_if = "CapMap::is_empty")]
    pub cap_map: CapMap,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::from_json;

    #[test]
    fn values_are_kept_as_they_came() {
        let json = r#"{"a":null,"b":[],"c":[{"x": 1.0},"y",null,9007199254740993]}"#;
        let caps: CapMap = from_json(json.as_bytes()).unwrap();
        assert!(caps.contains("a") && caps.contains("b") && !caps.contains("d"));
        let values = caps.values("c").unwrap();
        assert_eq!(values[1].read::<String>().unwrap(), "y");
        assert_eq!(values[3].read::<u64>().unwrap(), 9_007_199_254_740_993);
        assert_eq!(serde_json::to_string(&caps).unwrap(), json.replace("null,\"b\"", "[],\"b\""));
    }
}
