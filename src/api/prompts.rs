//! Questions of the SSH client to a person, asked through the page: `Prompts` of `www/src/api.ts`.

use dayfly_platform::BoxFuture;
use dayfly_ssh::{
    HostKey, HostKeyAnswer, Interaction, KeyboardInteractive, PasswordRequest, PrivateKey, PrivateKeyRequest,
    Secret,
};
use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use super::objects;
use crate::js;
use crate::names::ShellStep;

#[wasm_bindgen]
extern "C" {
    /// The page's callbacks.
    #[derive(Clone)]
    pub(super) type Prompts;

    #[wasm_bindgen(method, catch)]
    fn banner(this: &Prompts, text: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = "hostKey")]
    async fn host_key(this: &Prompts, key: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn password(this: &Prompts, prompt: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = "keyboardInteractive")]
    async fn keyboard_interactive(
        this: &Prompts,
        name: &str,
        instructions: &str,
        prompts: &Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = "privateKey")]
    async fn private_key(this: &Prompts) -> Result<JsValue, JsValue>;
}

/// Asks through the page. A callback that throws or rejects has answered nothing.
pub(super) struct PagePrompts {
    prompts: Prompts,
    on_event: Function,
}

impl PagePrompts {
    /// Asks `prompts`, and reports to `on_event` which step it is for.
    pub(super) fn new(prompts: Prompts, on_event: Function) -> Self {
        Self { prompts, on_event }
    }

    fn step(&self, step: ShellStep) {
        let _ = self.on_event.call1(&JsValue::UNDEFINED, &objects::step(step));
    }
}

impl Interaction for PagePrompts {
    fn banner(&mut self, text: String) {
        self.step(ShellStep::Auth);
        let _ = self.prompts.banner(&text);
    }

    fn unknown_host_key(&mut self, key: HostKey) -> BoxFuture<HostKeyAnswer> {
        self.step(ShellStep::HostKey);
        let prompts = self.prompts.clone();
        let asked = js::object([
            ("algorithm", key.algorithm.as_str().into()),
            ("fingerprint", key.fingerprint.as_str().into()),
            ("host", key.host.as_str().into()),
        ]);
        Box::pin(async move {
            match prompts.host_key(&asked).await {
                // Nothing but a plain yes will do.
                Ok(answer) if answer == JsValue::TRUE => HostKeyAnswer::Accept,
                _ => HostKeyAnswer::Refuse,
            }
        })
    }

    fn private_key(&mut self, request: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
        self.step(ShellStep::Auth);
        let prompts = self.prompts.clone();
        if let Some(problem) = request.problem {
            let _ = prompts.banner(&format!("{problem}\n"));
        }
        Box::pin(async move {
            let answer = prompts.private_key().await.ok()?;
            let pem = js::text(&answer, "pem")?;
            Some(PrivateKey { pem: secret(pem), passphrase: js::text(&answer, "passphrase").map(secret) })
        })
    }

    fn keyboard_interactive(&mut self, request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
        self.step(ShellStep::Auth);
        let prompts = self.prompts.clone();
        let questions: Array = request
            .prompts
            .iter()
            .map(|prompt| js::object([("prompt", prompt.text.as_str().into()), ("echo", prompt.echo.into())]))
            .collect();
        Box::pin(async move {
            let asked = prompts.keyboard_interactive(&request.name, &request.instructions, &questions);
            let answers: Array = asked.await.ok()?.dyn_into().ok()?;
            Some(answers.iter().map(|answer| secret(answer.as_string().unwrap_or_default())).collect())
        })
    }

    fn password(&mut self, request: PasswordRequest) -> BoxFuture<Option<Secret>> {
        self.step(ShellStep::Auth);
        let prompts = self.prompts.clone();
        let again = if request.rejected { "Wrong password. " } else { "" };
        let prompt = format!("{again}{}@{}'s password:", request.user, request.host);
        Box::pin(async move { prompts.password(&prompt).await.ok()?.as_string().map(secret) })
    }
}

fn secret(text: String) -> Secret {
    Zeroizing::new(text)
}
