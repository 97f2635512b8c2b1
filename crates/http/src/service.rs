//! The boundary between serving HTTP and what is served: a request goes in, an answer or a takeover comes out.

use std::net::SocketAddr;

use futures::future::BoxFuture;
use hyper::body::Incoming;

use crate::answer::Answer;
use crate::takeover::Takeover;

/// A request whose body is read from the connection as far as somebody asks for it.
pub type Request = http::Request<Incoming>;

/// Facts about the connection on which a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The client's address.
    pub peer: SocketAddr,
    /// The connection is protected by TLS.
    pub is_tls: bool,
    /// The listener is on loopback: only this machine reaches it, browsers' pages included.
    pub is_loopback: bool,
}

/// Outcome of a request.
#[derive(Debug)]
pub enum Reply {
    /// The request is answered, and the connection goes on with HTTP.
    Answer(Answer),
    /// The connection changes its protocol and belongs to the service from now on.
    Takeover(Takeover),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<Takeover> for Reply {
    fn from(takeover: Takeover) -> Self {
        Self::Takeover(takeover)
    }
}

/// Answers requests. Usually a [`Router`](crate::Router), which knows more services.
pub trait Service: Send + Sync + 'static {
    /// Answers a request or takes its connection over. The future is dropped when the client leaves.
    fn call(&self, request: Request, connection: Connection) -> BoxFuture<'static, Reply>;
}
