//! The recordings of a body: JSON, a file, or the files of a form.

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest, Multipart},
    http::{HeaderMap, Request, Uri, header},
};
use bytes::Bytes;

use super::{
    failure::{Failure, Outcome},
    numbers_json::is_space,
    request_json::Style,
    wanted::{Given, Wanted},
};

/// The content of a body, before it is read.
pub enum Content {
    /// A JSON object with an array.
    Json { text: Bytes, style: Style },
    /// Files that belong together, each with its name, and the options beside them.
    Files { files: Vec<(String, Bytes)>, wanted: Wanted },
}

/// The most parts of a form. A record has a header, a few signal files, and options.
const MOST_PARTS: usize = 64;

/// Finds out what a body is, by its content type.
///
/// # Errors
/// 400 for a form that is cut off, 415 for what is none of these, 422 for options that make no sense.
pub async fn of(uri: &Uri, headers: &HeaderMap, bytes: Bytes, style: Style) -> Outcome<Content> {
    let mut wanted = Wanted::default();
    for (name, value) in query(uri)? {
        wanted.set(&name, Given::Text(&value))?;
    }
    if bytes.is_empty() {
        return Err(Failure::malformed("the body is empty", "send JSON with inputs, or a file"));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // What curl sends unless it is told what it sends.
    let unknown = ["", "application/x-www-form-urlencoded"].contains(&kind.as_str());
    let is_object = unknown && bytes.iter().find(|byte| !is_space(**byte)) == Some(&b'{');
    match kind.as_str() {
        kind if kind == "application/json" || is_object => {
            if wanted != Wanted::default() {
                return Err(Failure::invalid("options in the query beside JSON", "put them into the JSON"));
            }
            Ok(Content::Json { text: bytes, style })
        }
        "multipart/form-data" => form(headers, bytes, wanted).await,
        _ => {
            let name = wanted.name.clone().or_else(|| file_name(headers)).unwrap_or_else(|| default_name(&kind));
            wanted.check()?;
            Ok(Content::Files { files: vec![(bare(&name), bytes)], wanted })
        }
    }
}

/// Returns the fields of a query.
fn query(uri: &Uri) -> Outcome<Vec<(String, String)>> {
    let fields = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let bad = |_| Failure::malformed("the query cannot be read", "give name=value, joined by &");
    Ok(fields.map_err(bad)?.0)
}

/// Reads the files and the options of a form.
async fn form(headers: &HeaderMap, bytes: Bytes, mut wanted: Wanted) -> Outcome<Content> {
    let bad = || Failure::malformed("the form cannot be read", "send multipart/form-data with its boundary");
    let mut request = Request::new(Body::from(bytes));
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    // The body is within its limit already.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut parts = Multipart::from_request(request, &()).await.map_err(|_| bad())?;
    let mut files = Vec::new();
    for count in 0.. {
        let Some(part) = parts.next_field().await.map_err(|_| bad())? else { break };
        if count == MOST_PARTS {
            return Err(Failure::too_large(format!("a form of more than {MOST_PARTS} parts"), "send fewer files"));
        }
        let name = part.name().unwrap_or_default().to_string();
        let file = part.file_name().map(bare);
        let content = part.bytes().await.map_err(|_| bad())?;
        match file {
            Some(file) => files.push((file, content)),
            None => match std::str::from_utf8(&content) {
                Ok(text) => wanted.set(&name, Given::Text(text.trim()))?,
                Err(_) => return Err(Failure::invalid("a field of the form is no text", "give files a file name")),
            },
        }
    }
    if files.is_empty() {
        return Err(Failure::invalid("a form without files", "give at least one part a file name"));
    }
    wanted.check()?;
    Ok(Content::Files { files, wanted })
}

/// Returns the file name of the header Content-Disposition.
fn file_name(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_DISPOSITION)?.to_str().ok()?;
    let fields = text.split(';').filter_map(|field| field.trim().split_once('='));
    let name = fields.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case("filename"))?.1;
    let name = name.trim().trim_matches('"');
    (!name.is_empty()).then(|| name.to_string())
}

/// Returns a file's name without the folders before it, from any system.
pub fn bare(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.is_empty() { "recording".into() } else { name.chars().take(255).collect() }
}

/// Returns the name of a file that has none. Its extension helps where the content does not tell the format.
fn default_name(kind: &str) -> String {
    let extension = match kind {
        "text/csv" => ".csv",
        "text/plain" => ".txt",
        "text/tab-separated-values" => ".tsv",
        "application/dicom" => ".dcm",
        "text/xml" | "application/xml" => ".xml",
        "application/x-npy" => ".npy",
        "application/zip" => ".zip",
        "application/gzip" => ".gz",
        _ => "",
    };
    format!("recording{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_have_no_folders() {
        for (given, expected) in
            [("a.hea", "a.hea"), ("../../etc/a.hea", "a.hea"), ("C:\\ecg\\a.hea", "a.hea"), ("x/", "recording")]
        {
            assert_eq!(bare(given), expected);
        }
        let headers = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_DISPOSITION, text.parse().unwrap());
            file_name(&headers)
        };
        assert_eq!(headers("attachment; filename=\"a b.npy\""), Some("a b.npy".into()));
        assert_eq!(headers("attachment; FileName=a.npy"), Some("a.npy".into()));
        assert_eq!(headers("attachment"), None);
    }
}
