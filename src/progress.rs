//! A node's way into the tailnet, and its connection to it afterwards: from the node's events to those of the page.

use std::time::Duration;

use dayfly_node::{ControlError, NodeEvent, RelayState};
use dayfly_platform::time::Moment;

use crate::problem::{Problem, of_control, of_relay};

/// How long joining may fail for before that is told, should it fail more slowly than twice.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long the control server may be lost while a person has something to do elsewhere, who may be changing networks.
const WAITING_PATIENCE: Duration = Duration::from_secs(60);

/// What the page is told: `TailnetEvent` of `www/src/dayfly.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The state, and the step that begins.
    State(State, Option<&'static str>),
    /// A person has to open this page.
    AuthUrl(String),
    /// The list of machines has changed.
    Machines,
    /// A relay's connection.
    Relay {
        /// The region's code.
        region: String,
        /// What it is now.
        state: &'static str,
    },
    /// Something failed.
    Problem(Problem),
}

/// Where the node stands: `TailnetState` of `www/src/dayfly.ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// On its way in.
    Connecting,
    /// A person has to log in.
    NeedsLogin,
    /// An administrator has to approve the node.
    NeedsApproval,
    /// In the tailnet.
    Running,
    /// The control server is lost; sessions go on.
    Reconnecting,
    /// It ended by a failure.
    Failed,
    /// It ended, and the control server let it go.
    Closed,
}

impl State {
    /// Its name in the page's API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::NeedsLogin => "needs-login",
            Self::NeedsApproval => "needs-approval",
            Self::Running => "running",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// Steps of the way in, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Nothing,
    Control,
    Login,
    Netmap,
    Relay,
}

/// Follows one node.
#[derive(Debug)]
pub struct Progress {
    began: Moment,
    state: State,
    step: Step,
    joined: bool,
    gone: bool,
    /// Failures of the control server and of relays, as long as the node is not in the tailnet.
    failures: [u32; 2],
    /// A person has something to do elsewhere before the node is in the tailnet.
    waiting: bool,
    /// Since when the control server is lost while it is waited for that person.
    lost: Option<Moment>,
}

impl Progress {
    /// A node that starts at `now`.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            began: now,
            state: State::Connecting,
            step: Step::Nothing,
            joined: false,
            gone: false,
            failures: [0; 2],
            waiting: false,
            lost: None,
        }
    }

    /// Whether the control server has let the node go.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// The control server has taken a connection: logging in begins.
    pub fn control_is_open(&mut self) -> Vec<Told> {
        self.step(Step::Login)
    }

    /// What the page is told of an event.
    pub fn hear(&mut self, event: NodeEvent, now: Moment) -> Vec<Told> {
        match event {
            NodeEvent::Connecting if self.joined => self.enter(State::Reconnecting),
            NodeEvent::Connecting => self.step(Step::Control),
            NodeEvent::AuthUrl(url) => {
                let mut told = Vec::new();
                if !self.joined {
                    self.wait_for_a_person();
                    self.state = State::NeedsLogin;
                    self.step = Step::Login;
                    told.push(Told::State(State::NeedsLogin, Some("login")));
                }
                told.push(Told::AuthUrl(url));
                told
            }
            NodeEvent::Registered(_) => {
                self.go_on(now);
                self.step(Step::Netmap)
            }
            NodeEvent::NeedsApproval => {
                if !self.joined {
                    self.wait_for_a_person();
                    self.step = Step::Netmap;
                }
                self.enter(State::NeedsApproval)
            }
            // Only `Running` ends that.
            NodeEvent::MapChanged if self.state == State::NeedsApproval => vec![Told::Machines],
            NodeEvent::MapChanged => {
                let mut told = if self.joined { self.enter(State::Running) } else { self.step(Step::Relay) };
                told.push(Told::Machines);
                told
            }
            NodeEvent::Running => {
                self.joined = true;
                self.enter(State::Running)
            }
            NodeEvent::Relay { region, code, state } => {
                let code = if code.is_empty() { region.to_string() } else { code };
                self.relay(code, &state, now)
            }
            NodeEvent::Disconnected { .. } if self.joined => self.enter(State::Reconnecting),
            NodeEvent::Disconnected { error, .. } => {
                let is_to_be_told = if self.waiting {
                    now - *self.lost.get_or_insert(now) >= WAITING_PATIENCE
                } else {
                    self.is_to_be_told(0, now)
                };
                if is_to_be_told { vec![Told::Problem(of_control(&error))] } else { Vec::new() }
            }
            NodeEvent::Failed(error) => {
                self.gone = matches!(error, ControlError::NodeRemoved(_));
                let state = if self.gone && self.joined { State::Closed } else { State::Failed };
                let mut told = vec![Told::Problem(of_control(&error))];
                told.extend(self.enter(state));
                told
            }
            NodeEvent::LoggedOut => {
                self.gone = true;
                self.enter(State::Closed)
            }
        }
    }

    fn relay(&mut self, region: String, state: &RelayState, now: Moment) -> Vec<Told> {
        // No relay is dialled before a node is approved.
        self.go_on(now);
        let name = match state {
            RelayState::Connecting => "connecting",
            RelayState::Connected => "connected",
            RelayState::Failed { .. } => "failed",
            RelayState::Restarting => "restarting",
            RelayState::Closed => "closed",
        };
        let mut told = vec![Told::Relay { region: region.clone(), state: name }];
        if let RelayState::Failed { error, .. } = state
            && !self.joined
            && self.is_to_be_told(1, now)
        {
            told.push(Told::Problem(of_relay(&region, error)));
        }
        told
    }

    /// Whether a failure on the way in is more than a hitch, which trying again overcomes.
    fn is_to_be_told(&mut self, which: usize, now: Moment) -> bool {
        let Some(failures) = self.failures.get_mut(which) else { return false };
        *failures += 1;
        *failures >= 2 || now - self.began >= PATIENCE
    }

    fn wait_for_a_person(&mut self) {
        self.waiting = true;
        self.lost = None;
    }

    /// Nobody is waited for any more: how long that took is not held against what comes now.
    fn go_on(&mut self, now: Moment) {
        if std::mem::take(&mut self.waiting) {
            self.began = now;
            self.failures = [0; 2];
        }
    }

    fn enter(&mut self, state: State) -> Vec<Told> {
        if self.state == state {
            return Vec::new();
        }
        self.state = state;
        vec![Told::State(state, None)]
    }

    /// A step of the way in begins, unless it or a later one has begun before.
    fn step(&mut self, step: Step) -> Vec<Told> {
        let is_late = step <= self.step && self.state != State::NeedsLogin;
        if self.joined || is_late {
            return Vec::new();
        }
        self.state = State::Connecting;
        self.step = step;
        let name = match step {
            Step::Nothing => return Vec::new(),
            Step::Control => "control",
            Step::Login => "login",
            Step::Netmap => "netmap",
            Step::Relay => "relay",
        };
        vec![Told::State(State::Connecting, Some(name))]
    }
}

#[cfg(test)]
mod tests {
    use dayfly_node::{DialError, Registered, RelayError};
    use dayfly_wire::control::{Login, User};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Moment = Moment::from_start(SECOND);

    fn registered() -> NodeEvent {
        let registered = Registered { user: User::default(), login: Login::default(), authorized: true };
        NodeEvent::Registered(Box::new(registered))
    }

    fn disconnected() -> NodeEvent {
        let error = ControlError::Dial(DialError::TimedOut { url: "wss://x".to_owned() });
        NodeEvent::Disconnected { error, retry_in: SECOND }
    }

    fn relay(state: RelayState) -> NodeEvent {
        NodeEvent::Relay { region: 1, code: "fra".to_owned(), state }
    }

    fn hear(progress: &mut Progress, events: impl IntoIterator<Item = NodeEvent>) -> Vec<Told> {
        events.into_iter().flat_map(|event| progress.hear(event, NOW)).collect()
    }

    fn joined() -> Progress {
        let mut progress = Progress::new(NOW);
        hear(&mut progress, [NodeEvent::Connecting, registered(), NodeEvent::MapChanged, NodeEvent::Running]);
        progress
    }

    fn connecting(step: &'static str) -> Told {
        Told::State(State::Connecting, Some(step))
    }

    #[test]
    fn each_step_of_the_way_in_is_told_once() {
        let mut progress = Progress::new(NOW);
        let mut told = hear(&mut progress, [NodeEvent::Connecting]);
        told.extend(progress.control_is_open());
        told.extend(hear(&mut progress, [registered(), NodeEvent::MapChanged, NodeEvent::MapChanged]));
        told.extend(hear(&mut progress, [NodeEvent::Running]));
        assert_eq!(
            told,
            [
                connecting("control"),
                connecting("login"),
                connecting("netmap"),
                connecting("relay"),
                Told::Machines,
                Told::Machines,
                Told::State(State::Running, None),
            ]
        );
    }

    #[test]
    fn a_login_is_asked_for_and_left_behind() {
        let mut progress = Progress::new(NOW);
        let url = "https://control.test/register/x".to_owned();
        let told =
            hear(&mut progress, [NodeEvent::Connecting, NodeEvent::AuthUrl(url.clone()), registered()]);
        assert_eq!(
            told,
            [
                connecting("control"),
                Told::State(State::NeedsLogin, Some("login")),
                Told::AuthUrl(url),
                connecting("netmap"),
            ]
        );
    }

    #[test]
    fn a_hitch_on_the_way_in_is_not_told_but_the_next_failure_is() {
        let mut progress = Progress::new(NOW);
        assert!(hear(&mut progress, [disconnected()]).is_empty());
        assert!(matches!(hear(&mut progress, [disconnected()]).as_slice(), [Told::Problem(_)]));
        let mut slow = Progress::new(NOW);
        assert!(matches!(slow.hear(disconnected(), NOW + PATIENCE).as_slice(), [Told::Problem(_)]));
    }

    #[test]
    fn a_change_of_networks_while_a_person_logs_in_is_not_told_but_a_server_that_stays_away_is() {
        let mut progress = Progress::new(NOW);
        let login = || NodeEvent::AuthUrl("https://control.test/register/x".to_owned());
        let is_problem = |told: &Told| matches!(told, Told::Problem(_));
        hear(&mut progress, [NodeEvent::Connecting, login()]);
        let mut now = NOW + 600 * PATIENCE;
        for _ in 0..3 {
            assert!(progress.hear(disconnected(), now).is_empty());
            now += WAITING_PATIENCE / 2;
            assert!(progress.hear(disconnected(), now).is_empty());
            progress.hear(NodeEvent::Connecting, now);
            let told = progress.hear(login(), now);
            assert_eq!(told.first(), Some(&Told::State(State::NeedsLogin, Some("login"))));
            now += WAITING_PATIENCE / 2;
        }
        assert!(progress.hear(disconnected(), now).is_empty());
        assert!(progress.hear(disconnected(), now + WAITING_PATIENCE).iter().any(is_problem));
    }

    #[test]
    fn after_a_long_login_or_approval_a_relays_first_failure_is_a_hitch() {
        let failed = || relay(RelayState::Failed { error: RelayError::Closed, retry_in: SECOND });
        let later = NOW + 600 * PATIENCE;
        let is_problem = |told: &Told| matches!(told, Told::Problem(_));
        let login = NodeEvent::AuthUrl("https://control.test/register/x".to_owned());
        for waits in [vec![login, registered()], vec![registered(), NodeEvent::NeedsApproval]] {
            let mut progress = Progress::new(NOW);
            waits.into_iter().for_each(|event| drop(progress.hear(event, later)));
            assert!(!progress.hear(failed(), later).iter().any(is_problem));
            assert!(progress.hear(failed(), later).iter().any(is_problem));
        }
    }

    #[test]
    fn an_approval_is_waited_for_however_long_it_takes() {
        let mut progress = Progress::new(NOW);
        let told = hear(
            &mut progress,
            [NodeEvent::Connecting, registered(), NodeEvent::NeedsApproval, NodeEvent::MapChanged],
        );
        let waiting = Told::State(State::NeedsApproval, None);
        assert_eq!(told, [connecting("control"), connecting("netmap"), waiting.clone(), Told::Machines]);
        // A hitch of the control server is no news, and neither is that the approval is still needed after it.
        let later = NOW + 600 * PATIENCE;
        let hitch = [disconnected(), NodeEvent::Connecting, NodeEvent::NeedsApproval, NodeEvent::MapChanged];
        let told: Vec<_> = hitch.into_iter().flat_map(|event| progress.hear(event, later)).collect();
        assert_eq!(told, [Told::Machines]);
        let told = hear(&mut progress, [NodeEvent::MapChanged, NodeEvent::Running]);
        assert_eq!(told, [Told::Machines, Told::State(State::Running, None)]);
        // It is taken back.
        let told = hear(&mut progress, [NodeEvent::NeedsApproval, NodeEvent::MapChanged]);
        assert_eq!(told, [waiting, Told::Machines]);
    }

    #[test]
    fn a_relay_that_stays_away_is_a_problem_only_on_the_way_in() {
        let failed = || relay(RelayState::Failed { error: RelayError::Closed, retry_in: SECOND });
        let mut progress = Progress::new(NOW);
        let told = hear(&mut progress, [failed(), failed()]);
        let is_problem = |told: &Told| matches!(told, Told::Problem(problem) if problem.step == "relay");
        assert_eq!(told.iter().filter(|told| is_problem(told)).count(), 1);
        let told = hear(&mut joined(), [failed(), failed(), failed()]);
        assert!(told.iter().all(|told| matches!(told, Told::Relay { state: "failed", .. })));
    }

    #[test]
    fn a_lost_control_server_is_come_back_from() {
        let told = hear(
            &mut joined(),
            [disconnected(), NodeEvent::Connecting, disconnected(), registered(), NodeEvent::MapChanged],
        );
        assert_eq!(
            told,
            [Told::State(State::Reconnecting, None), Told::State(State::Running, None), Told::Machines]
        );
    }

    #[test]
    fn a_removed_node_is_closed_and_any_other_end_is_a_failure() {
        let removed = || NodeEvent::Failed(ControlError::NodeRemoved("gone".to_owned()));
        let mut progress = joined();
        assert_eq!(hear(&mut progress, [removed()]).last(), Some(&Told::State(State::Closed, None)));
        assert!(progress.is_gone());
        let mut progress = joined();
        let told = hear(&mut progress, [NodeEvent::Failed(ControlError::KeyExpired)]);
        assert_eq!(told.last(), Some(&Told::State(State::Failed, None)));
        assert!(!progress.is_gone());
    }
}
