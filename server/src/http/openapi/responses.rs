//! The failures that many routes share.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{
        ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
        schema::{SchemaType, Type},
    },
};

/// The failures of a request with recordings.
pub struct Failures;

/// The failures of the Open Inference Protocol.
pub struct Refusals;

/// The failure of a server that is not ready.
pub struct NotReady;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(
            "Failure",
            &[
                (400, "The body is not what its content type says"),
                (401, "No token, or another one than the server's"),
                (408, "The body came too slowly"),
                (413, "The body, a record, or their number is larger than allowed"),
                (415, "Neither JSON nor a file of a known format"),
                (422, "What the body says cannot be computed; the place of a bad number"),
                (429, "Too many records wait; the header Retry-After says when there will be room"),
                (500, "A fault of the server"),
                (503, "The server starts, ends, or has no device"),
            ],
        )
    }
}

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(
            "ProtocolFailure",
            &[
                (400, "The request is not of the protocol, or not of the model"),
                (401, "No token, or another one than the server's"),
                (404, "Another model or version"),
                (408, "The body came too slowly"),
                (413, "The body is larger than allowed"),
                (415, "The body has a content encoding"),
                (500, "A fault of the server"),
                (501, "An extension of the protocol that the server does not have"),
                (503, "The server starts, ends, has no device, or too many records wait"),
            ],
        )
    }
}

impl IntoResponses for NotReady {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses("ProtocolFailure", &[(503, "The server starts, recovers, ends, or has no device")])
    }
}

/// Makes responses of JSON of a schema.
fn responses(schema: &str, table: &[(u16, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let header = |kind: Type| {
        let schema = ObjectBuilder::new().schema_type(SchemaType::Type(kind));
        HeaderBuilder::new().schema(Some(schema)).build()
    };
    let response = |&(status, text): &(u16, &str)| {
        let mut response = ResponseBuilder::new().description(text).content("application/json", content.clone());
        if status == 429 || status == 503 {
            response = response.header("Retry-After", header(Type::Integer));
        }
        if status == 401 {
            response = response.header("WWW-Authenticate", header(Type::String));
        }
        (status.to_string(), RefOr::T(response.build()))
    };
    table.iter().map(response).collect()
}
