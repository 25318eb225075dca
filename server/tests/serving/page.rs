//! The page and its files.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::support::{Request, server};

fn get(path: &str) -> Request {
    Request::get(path).header("accept", "text/html,*/*")
}

#[test]
fn a_browser_gets_the_page_and_every_file_that_it_names() {
    let server = server();
    let page = server.send(&get("/"));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for (path, kind) in [
        ("style.css", "text/css; charset=utf-8"),
        ("paper.css", "text/css; charset=utf-8"),
        ("main.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        assert!(page.body.contains(&format!("\"{path}\"")), "{path}");
        let file = server.send(&get(&format!("/{path}")));
        assert_eq!((file.status, file.header("content-type")), (200, Some(kind)), "{path}");
        assert!(!file.body.is_empty(), "{path}");
    }
    server.send(&get("/support.mjs")).assert_error(404, "nothing at this path");
}

#[test]
fn the_policy_lets_scripts_of_this_server_alone_run() {
    let page = server().send(&get("/"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
    assert!(!policy.contains("unsafe-inline") && !policy.contains("http"), "{policy}");
    assert!(!page.body.contains(" style=") && !page.body.contains(" onclick="), "{}", page.body);
}

#[test]
fn a_browser_whose_copy_is_the_same_gets_no_content() {
    let server = server();
    let first = server.send(&get("/main.js"));
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let tag = first.header("etag").unwrap();
    for tags in [tag.to_string(), format!("\"other\", W/{tag}")] {
        let again = server.send(&get("/main.js").header("if-none-match", &tags));
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{tags}");
    }
    assert_eq!(server.send(&get("/main.js").header("if-none-match", "\"other\"")).status, 200);
}

#[test]
fn a_browser_that_takes_gzip_gets_the_same_file_compressed() {
    let server = server();
    let plain = server.send(&get("/main.js"));
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    for accepted in ["gzip, deflate, br", "br;q=1.0, GZIP;q=0.5", "*"] {
        let small = server.send(&get("/main.js").header("accept-encoding", accepted));
        assert_eq!(small.header("content-encoding"), Some("gzip"), "{accepted}");
        assert!(small.content.len() < plain.content.len() / 2, "{accepted}");
        let mut content = String::new();
        GzDecoder::new(&small.content[..]).read_to_string(&mut content).unwrap();
        assert_eq!(content, plain.body, "{accepted}");
        let tag = small.header("etag").unwrap();
        assert_ne!(plain.header("etag"), Some(tag));
        let again = get("/main.js").header("accept-encoding", accepted).header("if-none-match", tag);
        assert_eq!(server.send(&again).status, 304, "{accepted}");
    }
    for refused in ["identity", "br", "gzip;q=0, *", "gzip;q=nonsense", ""] {
        let whole = server.send(&get("/main.js").header("accept-encoding", refused));
        assert_eq!((whole.header("content-encoding"), whole.body.as_str()), (None, plain.body.as_str()), "{refused}");
    }
}

#[test]
fn a_synthetic_ecg_for_the_page_is_read_as_one() {
    let server = server();
    let sample = server.send(&get("/samples/mi-anterior.csv"));
    assert_eq!((sample.status, sample.header("cache-control")), (200, Some("no-store")));
    let prediction = &server.send(&Request::post("/api/predict", "text/csv", &sample.body)).json()["predictions"][0];
    assert_eq!(prediction["sampling_rate_hz"], 500.0);
    assert_eq!(prediction["warnings"][0], "a synthetic signal, not a patient's");
    server.send(&get("/samples/nothing.csv")).assert_error(404, "nothing at this path");
}
