//! The page to try the server in a browser.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// The page until there is a better one.
const INDEX: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>ecgpu</title>
<h1>ecgpu</h1>
<p>This server classifies 12-lead ECGs: <code>POST /api/predict</code>.</p>
<p>For research; not a medical device.</p>
</html>
";

/// Answers with the page.
pub async fn index() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'self'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, INDEX).into_response()
}
