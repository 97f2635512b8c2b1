//! The objects of `www/src/api.ts` that go out to the page.

use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::events::TailnetEvent;
use crate::js;
use crate::machine::Machine;
use crate::names::ShellStep;
use crate::problem::Problem;

/// A `DayflyError`.
pub(super) fn problem(problem: &Problem) -> JsValue {
    js::object([
        ("step", problem.step.as_str().into()),
        ("what", problem.what.as_str().into()),
        ("seen", problem.seen.as_str().into()),
        ("todo", problem.todo.as_str().into()),
    ])
}

/// A `DayflyError` as an event: a `TailnetEvent`, or a `ShellEvent`.
pub(super) fn problem_event(seen: &Problem) -> JsValue {
    let event = problem(seen);
    js::set(&event, "type", &"error".into());
    event
}

/// A `TailnetEvent`.
pub(super) fn event(event: &TailnetEvent) -> JsValue {
    let of = |kind: &str| js::object([("type", kind.into())]);
    match event {
        TailnetEvent::State(state, step) => {
            let event = of("state");
            js::set(&event, "state", &state.as_str().into());
            if let Some(step) = step {
                js::set(&event, "step", &step.as_str().into());
            }
            event
        }
        TailnetEvent::AuthUrl(url) => {
            let event = of("auth-url");
            js::set(&event, "url", &url.as_str().into());
            event
        }
        TailnetEvent::Machines => of("machines"),
        TailnetEvent::Relay { region, state } => {
            let event = of("relay");
            js::set(&event, "region", &region.as_str().into());
            js::set(&event, "state", &state.as_str().into());
            event
        }
        TailnetEvent::Problem(problem) => problem_event(problem),
    }
}

/// A `Machine`.
pub(super) fn machine(machine: &Machine) -> JsValue {
    js::object([
        ("name", machine.name.as_str().into()),
        ("shortName", machine.short_name.as_str().into()),
        ("addresses", js::strings(&machine.addresses)),
        ("os", machine.os.as_str().into()),
        ("online", machine.online.map_or(JsValue::NULL, JsValue::from_bool)),
        ("ssh", machine.ssh.into()),
        ("user", machine.user.as_str().into()),
        ("tags", js::strings(&machine.tags)),
        ("expired", machine.expired.into()),
    ])
}

/// A list of `Machine`s.
pub(super) fn machines(machines: &[Machine]) -> Array {
    machines.iter().map(machine).collect()
}

/// A `ShellEvent`.
pub(super) fn step(step: ShellStep) -> JsValue {
    js::object([("type", "step".into()), ("step", step.as_str().into())])
}
