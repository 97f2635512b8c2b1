//! Reading JSON as Go writes it, and leaving out what Go leaves out.
//!
//! Go writes `null` for a nil slice, map or pointer, wherever one may be. Instead of an attribute on each such field,
//! [`from_json`] reads through a [`Tolerant`] deserializer, for which `null` is an empty sequence or map. A struct is
//! read from an object only, never from an array; in a page that alone saves half of the code that serde makes.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Reads one JSON value, as tolerantly as Go does (see the module's head).
///
/// # Errors
/// When `json` is no JSON, is of another shape than `T`, or goes on behind the value.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = T::deserialize(Tolerant(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

/// Returns `true` for the value that Go's `omitempty` leaves out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Wraps a deserializer, a visitor, a seed or an access: whatever comes out of one is wrapped again.
struct Tolerant<T>(T);

/// Access to no elements and no entries.
struct Nothing<E>(PhantomData<E>);

/// For a visitor of sequences: takes `null` too.
struct SeqOrNull<V>(V);

/// For a visitor of maps: takes `null` too.
struct MapOrNull<V>(V);

macro_rules! forward {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tolerant<D> {
    type Error = D::Error;

    forward! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_unit
        deserialize_any deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Tolerant(visitor))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(SeqOrNull(visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(MapOrNull(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    /// Asks the deserializer itself, which keeps the text of a [`RawJson`](super::RawJson) so.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Tolerant(visitor))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, length, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Tolerant<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Tolerant(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Tolerant(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Tolerant(access))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Tolerant(access))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for SeqOrNull<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_seq(Nothing(PhantomData))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_seq(Tolerant(self.0))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for MapOrNull<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_map(Nothing(PhantomData))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_map(Tolerant(self.0))
    }
}

impl<'de, E: de::Error> SeqAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<Option<T::Value>, E> {
        Ok(None)
    }
}

impl<'de, E: de::Error> MapAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<T::Value, E> {
        Err(E::custom("no entries"))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Tolerant<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Tolerant(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Tolerant<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Tolerant(seed))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Tolerant<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Tolerant(deserializer))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        list: Vec<Inner>,
        map: BTreeMap<i64, Option<Vec<u8>>>,
        pointer: Option<Box<Inner>>,
        slice: Option<Vec<String>>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        names: Vec<String>,
    }

    fn read(json: &str) -> Result<Sample, serde_json::Error> {
        from_json(json.as_bytes())
    }

    #[test]
    fn null_is_empty_at_any_depth() {
        assert_eq!(
            read(r#"{"list":null,"map":null,"pointer":null,"slice":null}"#).unwrap(),
            Sample::default()
        );
        let inner = || Inner { names: vec!["a".to_owned()] };
        let sample = read(
            r#"{"list":[{"names":null},null,{"names":["a"]}],"map":{"1":null,"-2":[7]},"pointer":{"names":["a"]}}"#,
        )
        .unwrap();
        assert_eq!(sample.list, [Inner::default(), Inner::default(), inner()]);
        assert_eq!(sample.map, BTreeMap::from([(1, None), (-2, Some(vec![7]))]));
        assert_eq!(sample.pointer, Some(Box::new(inner())));
    }

    #[test]
    fn absent_null_and_empty_differ_where_that_matters() {
        assert_eq!(read("{}").unwrap().slice, None);
        assert_eq!(read(r#"{"slice":null}"#).unwrap().slice, None);
        assert_eq!(read(r#"{"slice":[]}"#).unwrap().slice, Some(vec![]));
    }

    #[test]
    fn unknown_keys_are_skipped_and_other_types_refused() {
        assert_eq!(read(r#"{"x":{"y":[1,{"z":null}]},"list":[]}"#).unwrap(), Sample::default());
        for json in ["[]", "7", "{\"list\":{}}", "{\"map\":[]}", "{\"list\":[7]}", "{} x", "{", ""] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let json = format!("{{\"x\":{}", "[".repeat(100_000));
        assert!(read(&json).is_err());
    }
}
