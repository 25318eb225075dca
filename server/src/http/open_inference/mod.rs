//! The Open Inference Protocol, version 2, over REST, as KServe and Triton speak it, with Triton's extension for binary tensors:
//! <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>,
//! <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>.

mod binary;
pub mod infer;
pub mod metadata;
pub mod model;
mod request;
mod response;
mod tensor;

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::failure::Failure;

/// The name of the one model.
pub const MODEL: &str = "ecgpu";

/// The version of the server and of its model.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of the input tensor, `[batch, leads, samples]`.
const INPUT: &str = "ecg";

/// A failure as the protocol has it: `{"error": "…"}`, with a status of Triton's.
#[derive(Debug)]
pub struct Refusal(Failure);

impl Refusal {
    /// A failure of HTTP itself, such as a body that is too large, which keeps its status.
    fn of_transport(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<Failure> for Refusal {
    /// Takes Triton's status for a failure: 404, 500, 501 and 503 have their meaning of HTTP, everything else is 400.
    fn from(failure: Failure) -> Self {
        let status = match failure.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
            same @ (StatusCode::NOT_FOUND | StatusCode::INTERNAL_SERVER_ERROR | StatusCode::NOT_IMPLEMENTED) => same,
            _ => StatusCode::BAD_REQUEST,
        };
        Self(failure.with_status(status))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.0.text() }).to_string();
        let mut response = self.0.into_response();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_have_the_status_codes_of_triton() {
        for (failure, status) in [
            (Failure::invalid("a", "b"), 400),
            (Failure::malformed("a", "b"), 400),
            (Failure::too_large("a", "b"), 400),
            (Failure::not_found(), 404),
            (Failure::unsupported("a", "b"), 501),
            (Failure::overloaded("a", Duration::from_secs(7)), 503),
            (Failure::unavailable("a"), 503),
            (Failure::internal(), 500),
        ] {
            let waits = failure.to_json().contains("Retry-After");
            let response = Refusal::from(failure).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert!(!waits || response.headers()[header::RETRY_AFTER] == "7");
        }
        let too_large = Refusal::of_transport(Failure::too_large("a", "b")).into_response();
        assert_eq!(too_large.status().as_u16(), 413);
    }
}
