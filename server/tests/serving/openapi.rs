//! The description of the routes, beside a running server.

use std::fs;

use ecgpu_testing::python;
use tempfile::TempDir;

use crate::support::{options, server, start};

#[test]
fn the_server_describes_itself() {
    let response = server().get("/openapi.json");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert_eq!(response.body, ecgpu_server::openapi());
    assert!(response.json()["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[test]
fn every_response_to_a_made_up_request_is_described() {
    let Some(run) = python("schemathesis", "made_up_requests.py") else { return };
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "a-token\n").unwrap();
    let mut options = options();
    options.token_file = Some(tokens);
    let server = start(options);
    let address = server.address.to_string();
    let printed = run(&[address.as_ref(), "a-token".as_ref()]);
    assert!(printed.contains(" generated, ") && !printed.contains(" failed"), "{printed}");
    assert!(server.handle.is_ready());
}
