//! One request over HTTP. Redirects are followed here, since a token must stay with the server that it is meant for.

use std::time::Duration;

use ureq::{
    Agent, Body,
    http::{Response, StatusCode, Uri, header},
};

use super::{Broken, Failure, Patience};
use crate::{Error, ErrorKind};

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 10;

/// What to do about a lost connection.
pub(super) const NETWORK: &str = "check the network";

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// The contents. Every redirect is followed.
    Get,
    /// The headers alone. A redirect to another server is not followed, but returned.
    #[cfg(feature = "hub")]
    Head,
}

/// A request for the part of a file from a byte on.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    /// A bearer token for the server of `url` alone.
    pub(super) token: Option<&'a str>,
    /// The first byte that is wanted.
    pub(super) from: u64,
}

/// Makes the client.
pub(super) fn agent(patience: &Patience) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("ecgpu/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(patience.timeout))
        .timeout_recv_response(Some(patience.timeout))
        .timeout_per_read(Some(patience.timeout))
        .max_idle_connections(patience.connections)
        .max_idle_connections_per_host(patience.connections);
    config.build().new_agent()
}

impl Request<'_> {
    /// Sends the request and follows redirects. The response may have any status.
    pub(super) fn send(self, agent: &Agent) -> Result<Response<Body>, Broken> {
        let mut target = self.url.to_string();
        for _ in 0..=MOST_REDIRECTS {
            let own = origin(&target) == origin(self.url);
            let mut request = match self.method {
                Method::Get => agent.get(&target),
                #[cfg(feature = "hub")]
                Method::Head => agent.head(&target),
            };
            if self.from > 0 {
                request = request.header(header::RANGE, format!("bytes={}-", self.from));
            }
            if let Some(token) = self.token.filter(|_| own) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| of_request(self.url, &error))?;
            let Some(next) = location(&target, &response) else { return Ok(response) };
            #[cfg(feature = "hub")]
            if self.method == Method::Head && origin(&next) != origin(self.url) {
                return Ok(response);
            }
            if target.starts_with("https:") && !next.starts_with("https:") {
                let error = bad(self.url, "it redirects to an address without encryption", "use another address");
                return Err(Broken::Final(Failure::OfFile(error)));
            }
            target = next;
        }
        let error = bad(self.url, &format!("more than {MOST_REDIRECTS} redirects"), "check the URL");
        Err(Broken::Final(Failure::OfFile(error)))
    }
}

/// Returns scheme, host and port of a URL.
fn origin(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    Some((uri.scheme_str()?.to_lowercase(), uri.authority()?.as_str().to_lowercase()))
}

/// Returns where a response redirects to, as a URL; nothing if it is no redirect.
fn location(url: &str, response: &Response<Body>) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    [301, 302, 303, 307, 308].contains(&response.status().as_u16()).then(|| resolved(url, location))
}

/// Resolves the target of a redirect against the URL that it was sent for (RFC 3986, 5.2, without dot segments).
fn resolved(url: &str, location: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_absolute = location.split_once(':').is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    if is_absolute {
        location.into()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
        format!("{scheme}://{authority}{folder}{location}")
    }
}

pub(super) fn bad(url: &str, cause: &str, remedy: &str) -> Error {
    Error::new(ErrorKind::Download, format!("{url}: {cause}"), remedy)
}

/// Decides whether a failed request may succeed later.
fn of_request(url: &str, error: &ureq::Error) -> Broken {
    use ureq::Error::{BadUri, Http, InvalidProxyUrl, Io};
    let cause = error.to_string();
    match error {
        BadUri(_) | Http(_) => Broken::Final(Failure::OfAll(bad(url, &cause, "check the URL"))),
        InvalidProxyUrl => {
            Broken::Final(Failure::OfAll(bad(url, &cause, "check the variables HTTPS_PROXY, ALL_PROXY")))
        }
        // An untrusted certificate is still untrusted at the next attempt.
        Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let remedy = "check the URL, and whether the network's proxy replaces certificates";
            Broken::Final(Failure::OfAll(bad(url, &cause, remedy)))
        }
        _ => Broken::Temporary(bad(url, &cause, NETWORK), Duration::ZERO),
    }
}

/// Decides whether a request that was answered with an error may succeed later.
pub(super) fn refused(url: &str, status: StatusCode, response: &Response<Body>) -> Broken {
    let cause = format!("the server answers {status}");
    if is_busy(status) {
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let error = bad(url, &cause, "wait until the server is less busy");
        return Broken::Temporary(error, Duration::from_secs(seconds.unwrap_or(0)));
    }
    Broken::Final(Failure::OfFile(bad(url, &cause, "check the URL")))
}

/// Returns whether a status says that the server may answer later.
pub(super) fn is_busy(status: StatusCode) -> bool {
    [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status) || status.is_server_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_resolved_against_its_url() {
        let url = "https://hub.example:8080/a/b/c?d=e";
        for (location, expected) in [
            ("http://cdn.example/x", "http://cdn.example/x"),
            ("//cdn.example/x?y=http://z", "https://cdn.example/x?y=http://z"),
            ("/x?y=http://z", "https://hub.example:8080/x?y=http://z"),
            ("x/y", "https://hub.example:8080/a/b/x/y"),
        ] {
            assert_eq!(resolved(url, location), expected);
        }
        assert_eq!(resolved("http://h?a/b", "x"), "http://h/x");
    }

    #[test]
    fn servers_differ_by_scheme_host_or_port() {
        assert_eq!(origin("https://Hub.example/a"), origin("https://hub.example/b?c"));
        for other in ["http://hub.example/a", "https://hub.example:8080/a", "https://cdn.example/a", "nonsense"] {
            assert_ne!(origin("https://hub.example/a"), origin(other), "{other}");
        }
    }
}
