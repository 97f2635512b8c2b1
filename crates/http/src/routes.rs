//! Routes: the paths that each part answers. Each part brings its own routes; two owners of one path are refused.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _, ready};
use http::StatusCode;
use thiserror::Error;

use crate::answer::text;
use crate::service::{Connection, Reply, Request, Service};

type Handler = Arc<dyn Fn(Request, Connection) -> BoxFuture<'static, Reply> + Send + Sync>;

/// The routes of one part of a server, which is their owner.
///
/// ```
/// use dayfly_http::{Router, Routes, StatusCode, text};
///
/// let hello = Routes::new("hello").path("/hello", async |_, _| text(StatusCode::OK, "hello"));
/// let again = Routes::new("again").path("/hello", async |_, _| text(StatusCode::OK, "again"));
/// let refused = Router::new([hello, again]).unwrap_err();
/// assert_eq!(refused.to_string(), "/hello has two owners: hello and again");
/// ```
pub struct Routes {
    owner: &'static str,
    routes: Vec<(Pattern, Handler)>,
}

/// The paths that a route answers.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Pattern {
    Path(&'static str),
    Below(&'static str),
    Rest,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Rest => f.write_str("whatever has no other route"),
        }
    }
}

impl Pattern {
    /// Returns `true` if a path could be answered by both routes. The rest is what others leave over.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(one), Self::Path(two)) => one == two,
            (Self::Below(prefix), Self::Path(path)) | (Self::Path(path), Self::Below(prefix)) => {
                path.starts_with(prefix)
            }
            (Self::Below(one), Self::Below(two)) => one.starts_with(two) || two.starts_with(one),
            (Self::Rest, Self::Rest) => true,
            (Self::Rest, _) | (_, Self::Rest) => false,
        }
    }
}

/// Two parts, or one part twice, want to answer the same path.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{path} has two owners: {first} and {second}")]
pub struct RouteConflict {
    /// The path, with a star behind it where all paths below it are meant.
    pub path: String,
    /// The part whose route was there first.
    pub first: &'static str,
    /// The part that wants it too.
    pub second: &'static str,
}

impl Routes {
    /// Begins the routes of a part. `owner` is its name, for errors.
    pub const fn new(owner: &'static str) -> Self {
        Self { owner, routes: Vec::new() }
    }

    /// Adds a route for one path.
    #[must_use]
    pub fn path<F, R, A>(self, path: &'static str, handler: F) -> Self
    where
        F: Fn(Request, Connection) -> R + Send + Sync + 'static,
        R: Future<Output = A> + Send + 'static,
        A: Into<Reply> + 'static,
    {
        self.add(Pattern::Path(path), handler)
    }

    /// Adds a route for all paths that begin with `prefix`, which ends with a slash.
    #[must_use]
    pub fn below<F, R, A>(self, prefix: &'static str, handler: F) -> Self
    where
        F: Fn(Request, Connection) -> R + Send + Sync + 'static,
        R: Future<Output = A> + Send + 'static,
        A: Into<Reply> + 'static,
    {
        self.add(Pattern::Below(prefix), handler)
    }

    /// Adds a route for all paths that have no other.
    #[must_use]
    pub fn rest<F, R, A>(self, handler: F) -> Self
    where
        F: Fn(Request, Connection) -> R + Send + Sync + 'static,
        R: Future<Output = A> + Send + 'static,
        A: Into<Reply> + 'static,
    {
        self.add(Pattern::Rest, handler)
    }

    fn add<F, R, A>(mut self, pattern: Pattern, handler: F) -> Self
    where
        F: Fn(Request, Connection) -> R + Send + Sync + 'static,
        R: Future<Output = A> + Send + 'static,
        A: Into<Reply> + 'static,
    {
        let handler: Handler =
            Arc::new(move |request, connection| handler(request, connection).map(Into::into).boxed());
        self.routes.push((pattern, handler));
        self
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<&Pattern> = self.routes.iter().map(|(pattern, _)| pattern).collect();
        f.debug_struct("Routes").field("owner", &self.owner).field("patterns", &patterns).finish()
    }
}

/// The [`Service`] that passes each request to the part whose path it names, and answers 404 where none does.
#[derive(Default)]
pub struct Router {
    paths: HashMap<&'static str, Handler>,
    below: Vec<(&'static str, Handler)>,
    rest: Option<Handler>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below: Vec<&str> = self.below.iter().map(|(prefix, _)| *prefix).collect();
        f.debug_struct("Router").field("paths", &self.paths.keys()).field("below", &below).finish()
    }
}

impl Router {
    /// Puts the routes of all parts together.
    ///
    /// # Errors
    /// When two routes could answer the same path.
    pub fn new(parts: impl IntoIterator<Item = Routes>) -> Result<Self, RouteConflict> {
        let mut router = Self::default();
        let mut known: Vec<(Pattern, &'static str)> = Vec::new();
        for Routes { owner, routes } in parts {
            for (pattern, handler) in routes {
                if let Some((_, first)) = known.iter().find(|(other, _)| other.overlaps(&pattern)) {
                    return Err(RouteConflict { path: pattern.to_string(), first, second: owner });
                }
                match pattern {
                    Pattern::Path(path) => drop(router.paths.insert(path, handler)),
                    Pattern::Below(prefix) => router.below.push((prefix, handler)),
                    Pattern::Rest => router.rest = Some(handler),
                }
                known.push((pattern, owner));
            }
        }
        Ok(router)
    }

    fn find(&self, path: &str) -> Option<&Handler> {
        let below = || self.below.iter().find(|(prefix, _)| path.starts_with(prefix));
        self.paths.get(path).or_else(|| below().map(|(_, handler)| handler)).or(self.rest.as_ref())
    }
}

impl Service for Router {
    fn call(&self, request: Request, connection: Connection) -> BoxFuture<'static, Reply> {
        match self.find(request.uri().path()) {
            Some(handler) => handler(request, connection),
            None => ready(text(StatusCode::NOT_FOUND, "there is nothing at this path").into()).boxed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(owner: &'static str, patterns: &[Pattern]) -> Routes {
        let answer = async |_: Request, _: Connection| text(StatusCode::OK, "here");
        patterns.iter().fold(Routes::new(owner), |routes, pattern| routes.add(pattern.clone(), answer))
    }

    #[test]
    fn two_owners_of_a_path_are_refused_by_name() {
        use Pattern::{Below, Path, Rest};
        for (one, two, path) in [
            (Path("/key"), Path("/key"), "/key"),
            (Below("/gateway/"), Path("/gateway/derp"), "/gateway/derp"),
            (Path("/gateway/derp"), Below("/gateway/"), "/gateway/*"),
            (Below("/gateway/derp/"), Below("/gateway/"), "/gateway/*"),
            (Rest, Rest, "whatever has no other route"),
        ] {
            let conflict =
                Router::new([part("gateway", std::slice::from_ref(&one)), part("coordinator", &[two])]);
            let path = path.to_owned();
            assert_eq!(
                conflict.unwrap_err(),
                RouteConflict { path, first: "gateway", second: "coordinator" }
            );
            let twice = Router::new([part("gateway", &[one.clone(), one])]).unwrap_err();
            assert_eq!((twice.first, twice.second), ("gateway", "gateway"));
        }
    }

    #[test]
    fn a_path_is_answered_by_its_owner_and_what_is_left_by_the_rest() {
        use Pattern::{Below, Path, Rest};
        let router =
            Router::new([part("a", &[Path("/derp"), Below("/gateway/")]), part("b", &[Rest])]).unwrap();
        let is = |path: &str, handler: &Handler| Arc::ptr_eq(router.find(path).unwrap(), handler);
        assert!(is("/derp", &router.paths["/derp"]));
        assert!(is("/gateway/derp/7", &router.below[0].1));
        let rest = router.rest.as_ref().unwrap();
        assert!(is("/derp/", rest) && is("/gateway", rest) && is("/", rest));
        assert!(Router::new([part("a", &[Path("/derp")])]).unwrap().find("/").is_none());
    }
}
