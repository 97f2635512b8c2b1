//! A bounded GET.

use dayfly_node::DialError;
use dayfly_wire::ts2021::MAX_KEY_ANSWER;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, ReadableStreamDefaultReader, RequestInit, Response};

use super::window;
use crate::js;
use crate::problem::NO_CORS;

/// Characters of an answer that is an error.
const MAX_ERROR: usize = 200;

/// Gets a URL without credentials, cache or referrer. Dropping the future ends the request.
pub(super) async fn get(url: &str) -> Result<Vec<u8>, DialError> {
    let unreachable = |reason: String| DialError::Unreachable { url: url.to_owned(), reason };
    let abort = AbortOnDrop::new().map_err(|error| unreachable(js::thrown(&error)))?;
    let response = match request(url, "cors", &abort).await {
        Ok(response) => response,
        // Browsers don't say why. Without asking for the answer it can at least be seen whether there is one.
        Err(error) => {
            let answers = request(url, "no-cors", &abort).await.is_ok();
            return Err(unreachable(if answers { NO_CORS.to_owned() } else { js::thrown(&error) }));
        }
    };
    let body = read(&response).await.map_err(|error| unreachable(js::thrown(&error)))?;
    match response.status() {
        200 => Ok(body),
        status => {
            let text = String::from_utf8_lossy(&body).chars().take(MAX_ERROR).collect();
            Err(DialError::Status { url: url.to_owned(), status, text })
        }
    }
}

async fn request(url: &str, mode: &str, abort: &AbortOnDrop) -> Result<Response, JsValue> {
    let window = window().ok_or_else(|| JsValue::from_str("there is no window"))?;
    let init = js::object([
        ("mode", mode.into()),
        ("credentials", "omit".into()),
        ("cache", "no-store".into()),
        ("referrerPolicy", "no-referrer".into()),
        ("signal", abort.0.signal().into()),
    ]);
    let response = window.fetch_with_str_and_init(url, init.unchecked_ref::<RequestInit>());
    JsFuture::from(response).await?.dyn_into()
}

/// The body, of which no more is taken than is allowed.
async fn read(response: &Response) -> Result<Vec<u8>, JsValue> {
    let mut body = Vec::new();
    let Some(stream) = response.body() else { return Ok(body) };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    loop {
        let piece = JsFuture::from(reader.read()).await?;
        if js::get(&piece, "done").is_truthy() {
            return Ok(body);
        }
        let bytes: Uint8Array = js::get(&piece, "value").dyn_into()?;
        if body.len() + bytes.length() as usize > MAX_KEY_ANSWER {
            return Err(JsValue::from_str("the answer is too long"));
        }
        body.extend(bytes.to_vec());
    }
}

struct AbortOnDrop(AbortController);

impl AbortOnDrop {
    fn new() -> Result<Self, JsValue> {
        AbortController::new().map(Self)
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
