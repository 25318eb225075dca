//! Who may ask: tokens, addresses, origins.

use std::{fs, net::SocketAddr};

use ecgpu_server::Server;

use crate::support::{Request, inputs, norm, options, start, wait_until};

#[test]
fn only_tokens_of_the_file_are_accepted_and_the_file_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    fs::write(&file, "first\n").unwrap();
    let mut options = options();
    options.token_file = Some(file.clone());
    let (server, body) = (start(options), inputs(&[norm(1, 100.0)], ""));
    let ask = |path: &str, token: &str| {
        server.send(&Request::post(path, "application/json", &body).header("Authorization", &format!("Bearer {token}")))
    };
    assert_eq!(ask("/api/predict", "first").status, 200);
    for path in ["/api/predict", "/", "/predict"] {
        let refused = ask(path, "second");
        refused.assert_error(401, "another token");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        server.send(&Request::post(path, "application/json", &body)).assert_error(401, "no token");
    }
    for path in ["/healthz", "/readyz", "/health"] {
        assert_eq!(server.get(path).status, 200, "probes have no tokens: {path}");
    }
    fs::write(&file, "# changed\nsecond\n").unwrap();
    wait_until("the file was read again", || ask("/api/predict", "second").status == 200);
    assert_eq!(ask("/api/predict", "first").status, 401);
}

#[test]
fn other_machines_need_a_token_unless_they_need_none() {
    let refused = |change: &dyn Fn(&mut ecgpu_server::Options)| {
        let mut options = options();
        change(&mut options);
        Server::bind(options).err().map(|error| error.to_string())
    };
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    assert!(refused(&|options| options.listen = everywhere).unwrap().contains("no token is asked for"));
    assert_eq!(refused(&|options| (options.listen, options.insecure) = (everywhere, true)), None);
    assert!(refused(&|options| options.token_file = Some("/nowhere".into())).unwrap().contains("check the path"));
    assert!(refused(&|options| options.cors_origins = vec!["*".into()]).unwrap().contains("no origin"));
    assert!(refused(&|options| options.queue = 0).unwrap().contains("at least one"));
    let taken = Server::bind(options()).unwrap();
    let error = refused(&|options| options.listen = taken.address()).unwrap();
    assert!(error.contains("cannot listen") && error.contains("another address or port"), "{error}");
}

#[test]
fn pages_of_named_origins_alone_may_ask() {
    let mut options = options();
    options.cors_origins = vec!["https://ecg.example.org".into()];
    let server = start(options);
    let preflight = |origin: &str| {
        let request = Request::get("/api/predict").method("OPTIONS").header("origin", origin);
        server.send(&request.header("access-control-request-method", "POST"))
    };
    let allowed = preflight("https://ecg.example.org");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://ecg.example.org"));
    assert_eq!(preflight("https://evil.example.org").header("access-control-allow-origin"), None);
    let without = crate::support::server();
    let request = Request::get("/healthz").header("origin", "https://ecg.example.org");
    assert_eq!(without.send(&request).header("access-control-allow-origin"), None);
}
