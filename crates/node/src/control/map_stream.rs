//! Following the tailnet: `/machine/map`.

use std::time::Duration;

use dayfly_platform::time::{Instant, timeout};
use dayfly_wire::control::{CAPABILITY_VERSION, Hostinfo, MAP_PATH, MapFrames, MapRequest, MapResponse};
use dayfly_wire::key::{DiscoPublic, NodePublic};
use http::StatusCode;

use super::connection::{Answer, Requests};
use super::register::retry_after;
use super::{ControlError, WATCHDOG};

/// Time for the server to take note of a change.
const UPDATE_LIMIT: Duration = Duration::from_secs(30);

/// Open map stream, with the deadline for its next message.
pub(super) struct MapStream {
    answer: Answer,
    frames: MapFrames,
    deadline: Instant,
}

impl MapStream {
    /// Asks for the tailnet's state and all changes of it.
    pub(super) async fn open(
        requests: &mut Requests,
        node: &NodePublic,
        disco: &DiscoPublic,
        hostinfo: &Hostinfo,
    ) -> Result<Self, ControlError> {
        let request =
            MapRequest { stream: true, compress: COMPRESS.to_owned(), ..request(node, disco, hostinfo) };
        let deadline = Instant::now() + WATCHDOG;
        let body = json(&request)?;
        let answer = async { accepted(requests.post(MAP_PATH, body).await?).await };
        let answer = timeout(WATCHDOG, answer).await.map_err(|_| ControlError::Watchdog)??;
        Ok(Self { answer, frames: frames(), deadline })
    }

    /// The next message, keep-alives included.
    pub(super) async fn next(&mut self) -> Result<MapResponse, ControlError> {
        loop {
            let message =
                self.frames.next_message().map_err(|error| ControlError::MapMessage(error.to_string()))?;
            if let Some(message) = message {
                self.deadline = Instant::now() + WATCHDOG;
                return Ok(message);
            }
            // What has arrived is read even when the deadline passed meanwhile: after a page was asleep, say.
            let left = self.deadline.saturating_duration_since(Instant::now());
            let data = timeout(left, self.answer.data()).await.map_err(|_| ControlError::Watchdog)?;
            self.frames.push(&data?.ok_or(ControlError::MapEnded)?);
        }
    }
}

/// Tells the server what changed of this node, without disturbing the map stream.
pub(super) async fn update(
    requests: &mut Requests,
    node: &NodePublic,
    disco: &DiscoPublic,
    hostinfo: &Hostinfo,
) -> Result<(), ControlError> {
    let request = MapRequest { omit_peers: true, ..request(node, disco, hostinfo) };
    let body = json(&request)?;
    let update = async { accepted(requests.post(MAP_PATH, body).await?).await.map(drop) };
    let late = |_| ControlError::TimedOut { step: "taking note of this node", limit: UPDATE_LIMIT };
    timeout(UPDATE_LIMIT, update).await.map_err(late)?
}

#[cfg(feature = "zstd")]
const COMPRESS: &str = "zstd";
#[cfg(feature = "zstd")]
fn frames() -> MapFrames {
    MapFrames::zstd()
}

#[cfg(not(feature = "zstd"))]
const COMPRESS: &str = "";
#[cfg(not(feature = "zstd"))]
fn frames() -> MapFrames {
    MapFrames::new()
}

fn request(node: &NodePublic, disco: &DiscoPublic, hostinfo: &Hostinfo) -> MapRequest {
    MapRequest {
        version: CAPABILITY_VERSION,
        keep_alive: true,
        node_key: *node,
        disco_key: *disco,
        hostinfo: Some(hostinfo.clone()),
        ..MapRequest::default()
    }
}

fn json(request: &MapRequest) -> Result<Vec<u8>, ControlError> {
    serde_json::to_vec(request).map_err(|error| ControlError::MapMessage(error.to_string()))
}

async fn accepted(answer: Answer) -> Result<Answer, ControlError> {
    match answer.status {
        StatusCode::OK => Ok(answer),
        StatusCode::NOT_FOUND => Err(ControlError::NodeRemoved(answer.error_text().await)),
        StatusCode::TOO_MANY_REQUESTS => {
            Err(ControlError::RateLimited { retry_after: retry_after(&answer.headers) })
        }
        status => Err(ControlError::MapRefused { status: status.as_u16(), text: answer.error_text().await }),
    }
}
