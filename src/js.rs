//! Plain JavaScript objects: made from Rust values, and read.

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

/// An object literal.
pub(crate) fn object<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        set(&object, name, &value);
    }
    object.into()
}

/// Set a property of an object made here, which can't be refused.
pub(crate) fn set(object: &JsValue, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &JsValue::from_str(name), value);
}

/// A property, `undefined` where there is none or `object` is no object.
pub(crate) fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// A property that is a string and not an empty one.
pub(crate) fn text(object: &JsValue, name: &str) -> Option<String> {
    get(object, name).as_string().filter(|text| !text.is_empty())
}

/// An array of strings.
pub(crate) fn strings(texts: &[String]) -> JsValue {
    texts.iter().map(|text| JsValue::from_str(text)).collect::<Array>().into()
}

/// Returns what was thrown, in words.
pub(crate) fn thrown(error: &JsValue) -> String {
    let words = text(error, "message").or_else(|| error.as_string());
    words.unwrap_or_else(|| "unknown".to_owned()).chars().take(200).collect()
}

/// An object of this shape; `None` for anything that is no object.
pub(crate) fn as_object(value: &JsValue) -> Option<&Object> {
    value.dyn_ref()
}
