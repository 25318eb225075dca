//! Failures of requests: a status, and a JSON object with cause and remedy.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ecgpu::{Error, ErrorKind, Hint};
use serde_json::json;

use crate::engine::Refused;

/// Why a request was not answered as its client hoped.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub status: StatusCode,
    /// The kind in a word, for programs.
    pub kind: &'static str,
    cause: String,
    remedy: Cow<'static, str>,
    retry_after: Option<Duration>,
}

/// The result of a part of a request.
pub type Outcome<T> = std::result::Result<T, Failure>;

impl Failure {
    fn new(
        status: StatusCode,
        kind: &'static str,
        cause: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, kind, cause: cause.into(), remedy: remedy.into(), retry_after: None }
    }

    fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// 400: the body is not what its content type says.
    pub fn malformed(cause: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", cause, remedy)
    }

    /// 422: the body can be read, and what it says cannot be computed.
    pub fn invalid(cause: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", cause, remedy)
    }

    /// 413: more than a limit of the server allows.
    pub fn too_large(cause: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", cause, remedy)
    }

    /// 415: neither JSON nor a file that can be read.
    pub fn media_type(cause: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", cause, remedy)
    }

    /// 401: no token, or a wrong one.
    pub fn unauthorised(cause: &'static str) -> Self {
        let remedy = "send a token of the server's token file as `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", cause, remedy)
    }

    /// 404: no such route.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path", "use POST /api/predict")
    }

    /// 404: what the path names is not there.
    pub fn missing(cause: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", cause, remedy)
    }

    /// 501: a part of a protocol that this server does not have.
    pub fn unsupported(cause: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "unsupported", cause, remedy)
    }

    /// 405: the route has other methods.
    pub fn method() -> Self {
        let (cause, remedy) = ("this path has other methods", "see the header Allow");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", cause, remedy)
    }

    /// 408: the head of a request did not come in time.
    pub fn slow_head(after: Duration) -> Self {
        let cause = format!("the head of the request did not arrive within {:.0} s", after.as_secs_f64().ceil());
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", cause, "send it in one go")
    }

    /// 4xx: what came is no HTTP, or its head is too large. `status` is what hyper answers, without its first digit.
    pub fn no_http(status: &str) -> Self {
        if status.starts_with("31") || status.starts_with("14") {
            let (status, cause) = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too large");
            return Self::new(status, "too_large", cause, "send fewer or shorter header fields");
        }
        Self::malformed("the request is no valid HTTP", "send HTTP/1.1 or HTTP/2")
    }

    /// 408: the body did not come in time.
    pub fn slow_body(after: Duration) -> Self {
        let cause = format!("the body did not arrive within {:.0} s", after.as_secs_f64().ceil());
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", cause, "send it in one go")
    }

    /// 429: too many requests wait.
    pub fn overloaded(cause: impl Into<String>, retry_after: Duration) -> Self {
        let remedy = "send the request again after the time in the header Retry-After";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", cause, remedy).retry_after(retry_after)
    }

    /// 503: the server cannot compute now.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        let remedy = "send the request again, to another server if there is one";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", cause, remedy).retry_after(Duration::from_secs(1))
    }

    /// 500: a fault of the server.
    pub fn internal() -> Self {
        let (cause, remedy) = ("the server has a fault", "report it with the request id");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", cause, remedy)
    }

    /// Makes a failure of the same cause with status 400, as other servers' clients expect of bad input.
    pub fn into_bad_request(self) -> Self {
        let status =
            if self.status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { self.status };
        Self { status, ..self }
    }

    /// Gives the failure another status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Returns the JSON object of the failure.
    pub fn to_json(&self) -> String {
        let Self { kind, cause, remedy, .. } = self;
        json!({ "error": self.text(), "cause": cause, "remedy": remedy, "kind": kind }).to_string()
    }

    /// Returns the cause and the remedy on one line.
    pub fn text(&self) -> String {
        format!("{}: {}", self.cause, self.remedy)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full { retry_after } => Self::overloaded("as many records wait as may wait", retry_after),
            Refused::Closed => Self::unavailable("the server ends"),
        }
    }
}

impl From<Error> for Failure {
    /// Everything that the library refuses is the fault of the input, except what the device did.
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Recording => "recording",
            ErrorKind::File => "file",
            ErrorKind::Shape => "shape",
            ErrorKind::Usage => "usage",
            ErrorKind::Weights => "weights",
            ErrorKind::Device | ErrorKind::Parity => return Self::unavailable(error.cause()),
            _ => return Self::internal(),
        };
        let field = error.hint().and_then(field);
        let remedy = field.map_or_else(|| error.remedy().to_string(), |field| format!("{} ({field})", error.remedy()));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, error.cause(), remedy)
    }
}

/// Returns the field of a request by which its sender follows a hint of the library.
fn field(hint: Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::StateUnit => "the field unit, such as uV",
        Hint::StateSamplingRate => "the field sampling_rate_hz",
        Hint::NameLeads => "the field leads",
        Hint::SmallerBatch => "fewer records in a request",
        Hint::UseF32 => "the server's option --precision f32",
        Hint::UseCpu => "the server's option --device cpu",
        _ => return None,
    })
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, kind, self.to_json()).into_response();
        let headers = response.headers_mut();
        if let Some(time) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs_f64().ceil() as u64));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
