//! From the events of a node to those of the page's API: its way into the tailnet, and its connection to it afterwards.

use std::time::Duration;

use dayfly_node::{ControlError, NodeEvent};
use dayfly_platform::time::Moment;

use crate::names::{JoinStep, RelayState, TailnetState};
use crate::problem::{Problem, of_control, of_relay};

/// Time for which joining may fail before that is reported, should it fail more slowly than twice.
const PATIENCE: Duration = Duration::from_secs(6);
/// Time for which the control server may be lost while a person signs in elsewhere, who may be changing networks.
const WAITING_PATIENCE: Duration = Duration::from_secs(60);

/// Event of the page's API: `TailnetEvent` of `www/src/api.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailnetEvent {
    /// The node has come to a state, and a step of the way in begins.
    State(TailnetState, Option<JoinStep>),
    /// A person has to open this URL.
    AuthUrl(String),
    /// The list of machines has changed.
    Machines,
    /// The connection to a relay has come to a state.
    Relay {
        /// Code of the relay's region.
        region: String,
        /// State that it has come to.
        state: RelayState,
    },
    /// Something failed, as the problem says.
    Problem(Problem),
}

/// Follows one node, and says what the page is to hear of it.
#[derive(Debug)]
pub struct EventMapper {
    began: Moment,
    state: TailnetState,
    /// The newest step of the way in.
    step: Option<JoinStep>,
    joined: bool,
    /// The control server has removed the node.
    removed: bool,
    /// Failures of the control server and of relays, as long as the node is not in the tailnet.
    failures: [u32; 2],
    /// A person has something to do elsewhere before the node is in the tailnet.
    waiting: bool,
    /// Since when the control server is lost while it is waited for that person.
    lost: Option<Moment>,
}

impl EventMapper {
    /// Follows a node that starts at `now`.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            began: now,
            state: TailnetState::Connecting,
            step: None,
            joined: false,
            removed: false,
            failures: [0; 2],
            waiting: false,
            lost: None,
        }
    }

    /// Returns `true` once the control server has removed the node, or confirmed its logout.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed
    }

    /// Takes in that the control server has accepted a connection, so that logging in begins.
    pub fn control_is_open(&mut self) -> Vec<TailnetEvent> {
        self.step(JoinStep::Login)
    }

    /// Takes in an event of the node, and returns what the page is to hear of it.
    pub fn map(&mut self, event: NodeEvent, now: Moment) -> Vec<TailnetEvent> {
        match event {
            NodeEvent::Connecting if self.joined => self.enter(TailnetState::Reconnecting),
            NodeEvent::Connecting => self.step(JoinStep::Control),
            NodeEvent::AuthUrl(url) => {
                let mut events = Vec::new();
                if !self.joined {
                    self.wait_for_a_person();
                    self.state = TailnetState::NeedsLogin;
                    self.step = Some(JoinStep::Login);
                    events.push(TailnetEvent::State(TailnetState::NeedsLogin, Some(JoinStep::Login)));
                }
                events.push(TailnetEvent::AuthUrl(url));
                events
            }
            NodeEvent::Registered(_) => {
                self.go_on(now);
                self.step(JoinStep::Netmap)
            }
            NodeEvent::NeedsApproval => {
                if !self.joined {
                    self.wait_for_a_person();
                    self.step = Some(JoinStep::Netmap);
                }
                self.enter(TailnetState::NeedsApproval)
            }
            // Only `Running` ends that.
            NodeEvent::MapChanged if self.state == TailnetState::NeedsApproval => {
                vec![TailnetEvent::Machines]
            }
            NodeEvent::MapChanged => {
                let mut events =
                    if self.joined { self.enter(TailnetState::Running) } else { self.step(JoinStep::Relay) };
                events.push(TailnetEvent::Machines);
                events
            }
            NodeEvent::Running => {
                self.joined = true;
                self.enter(TailnetState::Running)
            }
            NodeEvent::Relay { region, code, state } => {
                let code = if code.is_empty() { region.to_string() } else { code };
                self.relay(code, &state, now)
            }
            NodeEvent::Disconnected { .. } if self.joined => self.enter(TailnetState::Reconnecting),
            NodeEvent::Disconnected { error, .. } => {
                let is_to_be_reported = if self.waiting {
                    now - *self.lost.get_or_insert(now) >= WAITING_PATIENCE
                } else {
                    self.is_to_be_reported(0, now)
                };
                if is_to_be_reported { vec![TailnetEvent::Problem(of_control(&error))] } else { Vec::new() }
            }
            NodeEvent::Failed(error) => {
                self.removed = matches!(error, ControlError::NodeRemoved(_));
                let state =
                    if self.removed && self.joined { TailnetState::Closed } else { TailnetState::Failed };
                let mut events = vec![TailnetEvent::Problem(of_control(&error))];
                events.extend(self.enter(state));
                events
            }
            NodeEvent::LoggedOut => {
                self.removed = true;
                self.enter(TailnetState::Closed)
            }
        }
    }

    fn relay(&mut self, region: String, state: &dayfly_node::RelayState, now: Moment) -> Vec<TailnetEvent> {
        // No relay is dialled before a node is approved.
        self.go_on(now);
        let name = match state {
            dayfly_node::RelayState::Connecting => RelayState::Connecting,
            dayfly_node::RelayState::Connected => RelayState::Connected,
            dayfly_node::RelayState::Failed { .. } => RelayState::Failed,
            dayfly_node::RelayState::Restarting => RelayState::Restarting,
            dayfly_node::RelayState::Closed => RelayState::Closed,
        };
        let mut events = vec![TailnetEvent::Relay { region: region.clone(), state: name }];
        if let dayfly_node::RelayState::Failed { error, .. } = state
            && !self.joined
            && self.is_to_be_reported(1, now)
        {
            events.push(TailnetEvent::Problem(of_relay(&region, error)));
        }
        events
    }

    /// Returns `true` if a failure on the way in is more than a hitch, which trying again overcomes.
    fn is_to_be_reported(&mut self, which: usize, now: Moment) -> bool {
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

    fn enter(&mut self, state: TailnetState) -> Vec<TailnetEvent> {
        if self.state == state {
            return Vec::new();
        }
        self.state = state;
        vec![TailnetEvent::State(state, None)]
    }

    /// Begins a step of the way in, unless it or a later one has begun before.
    fn step(&mut self, step: JoinStep) -> Vec<TailnetEvent> {
        let is_late = Some(step) <= self.step && self.state != TailnetState::NeedsLogin;
        if self.joined || is_late {
            return Vec::new();
        }
        self.state = TailnetState::Connecting;
        self.step = Some(step);
        vec![TailnetEvent::State(TailnetState::Connecting, Some(step))]
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

    fn relay(state: dayfly_node::RelayState) -> NodeEvent {
        NodeEvent::Relay { region: 1, code: "fra".to_owned(), state }
    }

    fn hear(mapper: &mut EventMapper, events: impl IntoIterator<Item = NodeEvent>) -> Vec<TailnetEvent> {
        events.into_iter().flat_map(|event| mapper.map(event, NOW)).collect()
    }

    fn joined() -> EventMapper {
        let mut mapper = EventMapper::new(NOW);
        hear(&mut mapper, [NodeEvent::Connecting, registered(), NodeEvent::MapChanged, NodeEvent::Running]);
        mapper
    }

    fn connecting(step: JoinStep) -> TailnetEvent {
        TailnetEvent::State(TailnetState::Connecting, Some(step))
    }

    #[test]
    fn each_step_of_the_way_in_is_heard_once() {
        let mut mapper = EventMapper::new(NOW);
        let mut heard = hear(&mut mapper, [NodeEvent::Connecting]);
        heard.extend(mapper.control_is_open());
        heard.extend(hear(&mut mapper, [registered(), NodeEvent::MapChanged, NodeEvent::MapChanged]));
        heard.extend(hear(&mut mapper, [NodeEvent::Running]));
        assert_eq!(
            heard,
            [
                connecting(JoinStep::Control),
                connecting(JoinStep::Login),
                connecting(JoinStep::Netmap),
                connecting(JoinStep::Relay),
                TailnetEvent::Machines,
                TailnetEvent::Machines,
                TailnetEvent::State(TailnetState::Running, None),
            ]
        );
    }

    #[test]
    fn a_login_is_asked_for_and_left_behind() {
        let mut mapper = EventMapper::new(NOW);
        let url = "https://control.test/register/x".to_owned();
        let heard = hear(&mut mapper, [NodeEvent::Connecting, NodeEvent::AuthUrl(url.clone()), registered()]);
        assert_eq!(
            heard,
            [
                connecting(JoinStep::Control),
                TailnetEvent::State(TailnetState::NeedsLogin, Some(JoinStep::Login)),
                TailnetEvent::AuthUrl(url),
                connecting(JoinStep::Netmap),
            ]
        );
    }

    #[test]
    fn a_hitch_on_the_way_in_is_not_heard_but_the_next_failure_is() {
        let mut mapper = EventMapper::new(NOW);
        assert!(hear(&mut mapper, [disconnected()]).is_empty());
        assert!(matches!(hear(&mut mapper, [disconnected()]).as_slice(), [TailnetEvent::Problem(_)]));
        let mut slow = EventMapper::new(NOW);
        assert!(matches!(slow.map(disconnected(), NOW + PATIENCE).as_slice(), [TailnetEvent::Problem(_)]));
    }

    #[test]
    fn a_change_of_networks_while_a_person_logs_in_is_not_heard_but_a_server_that_stays_away_is() {
        let mut mapper = EventMapper::new(NOW);
        let login = || NodeEvent::AuthUrl("https://control.test/register/x".to_owned());
        let is_problem = |heard: &TailnetEvent| matches!(heard, TailnetEvent::Problem(_));
        hear(&mut mapper, [NodeEvent::Connecting, login()]);
        let mut now = NOW + 600 * PATIENCE;
        for _ in 0..3 {
            assert!(mapper.map(disconnected(), now).is_empty());
            now += WAITING_PATIENCE / 2;
            assert!(mapper.map(disconnected(), now).is_empty());
            mapper.map(NodeEvent::Connecting, now);
            let heard = mapper.map(login(), now);
            assert_eq!(
                heard.first(),
                Some(&TailnetEvent::State(TailnetState::NeedsLogin, Some(JoinStep::Login)))
            );
            now += WAITING_PATIENCE / 2;
        }
        assert!(mapper.map(disconnected(), now).is_empty());
        assert!(mapper.map(disconnected(), now + WAITING_PATIENCE).iter().any(is_problem));
    }

    #[test]
    fn after_a_long_login_or_approval_a_relays_first_failure_is_a_hitch() {
        let failed =
            || relay(dayfly_node::RelayState::Failed { error: RelayError::Closed, retry_in: SECOND });
        let later = NOW + 600 * PATIENCE;
        let is_problem = |heard: &TailnetEvent| matches!(heard, TailnetEvent::Problem(_));
        let login = NodeEvent::AuthUrl("https://control.test/register/x".to_owned());
        for waits in [vec![login, registered()], vec![registered(), NodeEvent::NeedsApproval]] {
            let mut mapper = EventMapper::new(NOW);
            waits.into_iter().for_each(|event| drop(mapper.map(event, later)));
            assert!(!mapper.map(failed(), later).iter().any(is_problem));
            assert!(mapper.map(failed(), later).iter().any(is_problem));
        }
    }

    #[test]
    fn an_approval_is_waited_for_however_long_it_takes() {
        let mut mapper = EventMapper::new(NOW);
        let heard = hear(
            &mut mapper,
            [NodeEvent::Connecting, registered(), NodeEvent::NeedsApproval, NodeEvent::MapChanged],
        );
        let waiting = TailnetEvent::State(TailnetState::NeedsApproval, None);
        assert_eq!(
            heard,
            [
                connecting(JoinStep::Control),
                connecting(JoinStep::Netmap),
                waiting.clone(),
                TailnetEvent::Machines
            ]
        );
        // A hitch of the control server is no news, and neither is that the approval is still needed after it.
        let later = NOW + 600 * PATIENCE;
        let hitch = [disconnected(), NodeEvent::Connecting, NodeEvent::NeedsApproval, NodeEvent::MapChanged];
        let heard: Vec<_> = hitch.into_iter().flat_map(|event| mapper.map(event, later)).collect();
        assert_eq!(heard, [TailnetEvent::Machines]);
        let heard = hear(&mut mapper, [NodeEvent::MapChanged, NodeEvent::Running]);
        assert_eq!(heard, [TailnetEvent::Machines, TailnetEvent::State(TailnetState::Running, None)]);
        // It is taken back.
        let heard = hear(&mut mapper, [NodeEvent::NeedsApproval, NodeEvent::MapChanged]);
        assert_eq!(heard, [waiting, TailnetEvent::Machines]);
    }

    #[test]
    fn a_relay_that_stays_away_is_a_problem_only_on_the_way_in() {
        let failed =
            || relay(dayfly_node::RelayState::Failed { error: RelayError::Closed, retry_in: SECOND });
        let mut mapper = EventMapper::new(NOW);
        let heard = hear(&mut mapper, [failed(), failed()]);
        let is_problem = |heard: &TailnetEvent| match heard {
            TailnetEvent::Problem(problem) => problem.step == JoinStep::Relay.into(),
            _ => false,
        };
        assert_eq!(heard.iter().filter(|heard| is_problem(heard)).count(), 1);
        let heard = hear(&mut joined(), [failed(), failed(), failed()]);
        assert!(
            heard.iter().all(|heard| matches!(heard, TailnetEvent::Relay { state: RelayState::Failed, .. }))
        );
    }

    #[test]
    fn a_lost_control_server_is_come_back_from() {
        let heard = hear(
            &mut joined(),
            [disconnected(), NodeEvent::Connecting, disconnected(), registered(), NodeEvent::MapChanged],
        );
        assert_eq!(
            heard,
            [
                TailnetEvent::State(TailnetState::Reconnecting, None),
                TailnetEvent::State(TailnetState::Running, None),
                TailnetEvent::Machines
            ]
        );
    }

    #[test]
    fn a_removed_node_is_closed_and_any_other_end_is_a_failure() {
        let removed = || NodeEvent::Failed(ControlError::NodeRemoved("gone".to_owned()));
        let mut mapper = joined();
        assert_eq!(
            hear(&mut mapper, [removed()]).last(),
            Some(&TailnetEvent::State(TailnetState::Closed, None))
        );
        assert!(mapper.is_removed());
        let mut mapper = joined();
        let heard = hear(&mut mapper, [NodeEvent::Failed(ControlError::KeyExpired)]);
        assert_eq!(heard.last(), Some(&TailnetEvent::State(TailnetState::Failed, None)));
        assert!(!mapper.is_removed());
    }
}
