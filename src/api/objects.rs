//! The objects of `www/src/dayfly.ts` that go out to the page.

use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::js;
use crate::machine::Machine;
use crate::problem::Problem;
use crate::progress::Told;

/// A `DayflyError`.
pub(super) fn problem(problem: &Problem) -> JsValue {
    js::object([
        ("step", problem.step.into()),
        ("what", problem.what.as_str().into()),
        ("seen", problem.seen.as_str().into()),
        ("todo", problem.todo.as_str().into()),
    ])
}

/// A `DayflyError` as an event: a `TailnetEvent`, or a `ShellEvent`.
pub(super) fn problem_event(told: &Problem) -> JsValue {
    let event = problem(told);
    js::set(&event, "type", &"error".into());
    event
}

/// A `TailnetEvent`.
pub(super) fn event(told: &Told) -> JsValue {
    let of = |kind: &str| js::object([("type", kind.into())]);
    match told {
        Told::State(state, step) => {
            let event = of("state");
            js::set(&event, "state", &state.name().into());
            if let Some(step) = step {
                js::set(&event, "step", &(*step).into());
            }
            event
        }
        Told::AuthUrl(url) => {
            let event = of("auth-url");
            js::set(&event, "url", &url.as_str().into());
            event
        }
        Told::Machines => of("machines"),
        Told::Relay { region, state } => {
            let event = of("relay");
            js::set(&event, "region", &region.as_str().into());
            js::set(&event, "state", &(*state).into());
            event
        }
        Told::Problem(told) => problem_event(told),
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
pub(super) fn step(step: &str) -> JsValue {
    js::object([("type", "step".into()), ("step", step.into())])
}
