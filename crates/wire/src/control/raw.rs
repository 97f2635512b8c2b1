//! JSON that is kept as it came.

use core::fmt;
use core::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::tolerant::from_json;

/// One JSON value, kept as the text that it came in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// Writes a value as JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON: a map whose keys are no texts, for one.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Reads a text of one JSON value.
    ///
    /// # Errors
    /// When `text` is no JSON, or more than one value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text.to_owned()).map(Self)
    }

    /// Returns the text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the value, as tolerantly as [`from_json`].
    ///
    /// # Errors
    /// When it is of another shape than `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        from_json(self.get().as_bytes())
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for RawJson {}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

/// Part of a message that is read when somebody asks for it.
///
/// It costs those nothing who never ask: a page does not even link the code that would read it. What it has that `T` does
/// not name stays in it, and a part of another shape than expected does not spoil the message around it.
pub struct Deferred<T>(RawJson, PhantomData<fn() -> T>);

impl<T> Deferred<T> {
    /// Returns the part as it came.
    #[must_use]
    pub const fn raw(&self) -> &RawJson {
        &self.0
    }
}

impl<T: Serialize> Deferred<T> {
    /// Writes the part.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, which those of this crate always can.
    pub fn of(value: &T) -> Result<Self, serde_json::Error> {
        RawJson::of(value).map(|raw| Self(raw, PhantomData))
    }
}

impl<T: DeserializeOwned> Deferred<T> {
    /// Reads the part, as tolerantly as [`from_json`].
    ///
    /// # Errors
    /// When it is of another shape than `T`.
    pub fn read(&self) -> Result<T, serde_json::Error> {
        self.0.read()
    }
}

impl<T> Clone for Deferred<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T> PartialEq for Deferred<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Deferred<T> {}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<T> Serialize for Deferred<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Deferred<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawJson::deserialize(deserializer).map(|raw| Self(raw, PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        part: Option<Deferred<Vec<u8>>>,
        values: Vec<RawJson>,
    }

    #[test]
    fn a_part_is_kept_and_read_on_demand() {
        let json = r#"{"part":[1, 2],"values":[null,{"a": 1.50},18446744073709551616,"x"]}"#;
        let message: Message = from_json(json.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), json);
        assert_eq!(message.part.unwrap().read().unwrap(), [1, 2]);
        assert_eq!(message.values[3].read::<String>().unwrap(), "x");
    }

    #[test]
    fn a_part_of_another_shape_spoils_nothing_else() {
        let message: Message = from_json(r#"{"part":{"x":1},"values":null}"#.as_bytes()).unwrap();
        assert!(message.part.unwrap().read().is_err());
        assert!(from_json::<Message>(br#"{"part":{"x":}}"#).is_err());
    }

    #[test]
    fn null_is_no_part() {
        let message: Message = from_json(r#"{"part":null}"#.as_bytes()).unwrap();
        assert_eq!(message, Message::default());
    }
}
