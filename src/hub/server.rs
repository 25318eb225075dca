//! The Hub's two routes: the list of a repository's files, and the files.

use serde_json::Value;

use super::{
    Options,
    cache::is_commit,
    reference::{Reference, is_sound_file},
};
use crate::{
    Error, ErrorKind,
    checksum::Checksum,
    fetch::{Answer, Failure, Fetcher, Method},
};

/// The longest name of contents that is accepted.
const LONGEST_ETAG: usize = 128;

/// A Hub that is asked about one repository.
pub(super) struct Server<'a> {
    pub(super) fetcher: &'a Fetcher<'a>,
    pub(super) options: &'a Options,
    pub(super) reference: &'a Reference,
}

/// A revision's commit and the names of its files.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<String>,
}

/// What the Hub says about a file.
pub(super) struct Metadata {
    pub(super) commit: String,
    /// The name of the contents.
    pub(super) etag: String,
    /// The size in bytes.
    pub(super) size: Option<u64>,
}

impl Metadata {
    /// Returns the checksum of the contents, which is their name: SHA-256 where the repository keeps the file in its large
    /// file storage, git's SHA-1 where it keeps it in git. Another name says nothing about the contents.
    pub(super) fn checksum(&self) -> Option<Checksum> {
        Checksum::sha256(&self.etag).or_else(|| Checksum::git_blob(&self.etag))
    }
}

impl Server<'_> {
    /// Lists the files of a revision.
    pub(super) fn list(&self, revision: &str, attempts: u32) -> std::result::Result<Listing, Failure> {
        let (endpoint, repository) = (&self.options.endpoint, self.reference.repository());
        let url = format!("{endpoint}/api/models/{repository}/revision/{}", encoded(revision, ""));
        let answer = self.fetcher.ask(Method::Get, &url, self.options.token.as_deref(), attempts)?;
        self.check(&answer, revision, None)?;
        let listing = || {
            let object: Value = serde_json::from_slice(&answer.body).ok()?;
            let name =
                |sibling: &Value| sibling["rfilename"].as_str().filter(|file| is_sound_file(file)).map(Into::into);
            let files = object["siblings"].as_array()?.iter().filter_map(name).collect();
            let commit = object["sha"].as_str().filter(|commit| is_commit(commit))?.to_string();
            Some(Listing { commit, files })
        };
        listing().ok_or_else(|| Failure::OfFile(not_a_hub(&url, "its list of files cannot be read")))
    }

    /// Asks about a file of a revision.
    pub(super) fn metadata(&self, revision: &str, file: &str, attempts: u32) -> std::result::Result<Metadata, Failure> {
        let url = self.url(revision, file);
        let answer = self.fetcher.ask(Method::Head, &url, self.options.token.as_deref(), attempts)?;
        self.check(&answer, revision, Some(file))?;
        let missing = |header: &str| Failure::OfFile(not_a_hub(&url, &format!("its answer has no {header}")));
        let commit = answer.header("x-repo-commit").filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| missing("X-Repo-Commit"))?.to_string();
        let etag = answer.header("x-linked-etag").or(answer.header("etag")).and_then(etag);
        let etag = etag.ok_or_else(|| missing("ETag"))?;
        // The length of a redirect's answer is not that of the file.
        let length = answer.header("content-length").filter(|_| answer.status == 200);
        let size = answer.header("x-linked-size").or(length).and_then(|size| size.parse().ok());
        Ok(Metadata { commit, etag, size })
    }

    /// Returns the address of a file.
    pub(super) fn url(&self, revision: &str, file: &str) -> String {
        let (endpoint, repository) = (&self.options.endpoint, self.reference.repository());
        format!("{endpoint}/{repository}/resolve/{}/{}", encoded(revision, ""), encoded(file, "/"))
    }

    /// Explains a status that is an error.
    fn check(&self, answer: &Answer, revision: &str, file: Option<&str>) -> std::result::Result<(), Failure> {
        let (repository, endpoint) = (self.reference.repository(), &self.options.endpoint);
        let has_token = self.options.token.is_some();
        let (cause, remedy) = match (answer.status, answer.header("x-error-code").unwrap_or_default()) {
            (200..=399, _) => return Ok(()),
            (403, _) | (401, "GatedRepo") => (
                format!("access to {repository} is restricted"),
                format!("ask for it at {endpoint}/{repository}, and set HF_TOKEN to a token that has it"),
            ),
            (401, _) if has_token => (
                format!("{repository} does not exist, or the token has no access to it"),
                "check the name, and HF_TOKEN".into(),
            ),
            (401, _) => (
                format!("{repository} does not exist, or is private"),
                "check the name; for a private repository, set HF_TOKEN".into(),
            ),
            (404, "RevisionNotFound") => (
                format!("{repository} has no revision {revision}"),
                "name a branch, a tag or a commit that it has".into(),
            ),
            (404, "EntryNotFound") => (
                format!("{repository} has no file {} at {revision}", file.unwrap_or_default()),
                format!("see its files at {endpoint}/{repository}/tree/{}", encoded(revision, "")),
            ),
            (404, _) => (
                format!("{endpoint} has no repository {repository}, or not this revision or file of it"),
                "check the name; for a private repository, set HF_TOKEN".into(),
            ),
            (status, _) => (format!("{endpoint} answers status {status} for {repository}"), "check HF_ENDPOINT".into()),
        };
        Err(Failure::OfFile(Error::new(ErrorKind::Download, cause, remedy)))
    }
}

fn not_a_hub(url: &str, cause: &str) -> Error {
    Error::new(
        ErrorKind::Download,
        format!("{url}: {cause}"),
        "check that HF_ENDPOINT is a Hub, and no proxy answers instead",
    )
}

/// Returns the name of contents from a header, if it can be the name of a file.
fn etag(header: &str) -> Option<String> {
    let etag = header.strip_prefix("W/").unwrap_or(header).trim_matches('"');
    let plain = etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (plain && !etag.is_empty() && !etag.starts_with('.') && etag.len() <= LONGEST_ETAG).then(|| etag.into())
}

/// Encodes a part of a URL; the characters `kept` stay.
fn encoded(text: &str, kept: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.as_bytes().contains(&byte);
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_url_is_encoded() {
        assert_eq!(encoded("refs/pr/1", ""), "refs%2Fpr%2F1");
        assert_eq!(encoded("a b/ü+.safetensors", "/"), "a%20b/%C3%BC%2B.safetensors");
    }

    #[test]
    fn an_etag_is_the_name_of_a_file_or_refused() {
        for (header, name) in [("\"abc\"", Some("abc")), ("W/\"a-1\"", Some("a-1")), ("abc", Some("abc"))] {
            assert_eq!(etag(header).as_deref(), name);
        }
        for header in ["", "\"\"", "../a", "a/b", ".a", "a\\b", &"a".repeat(129)] {
            assert_eq!(etag(header), None, "{header}");
        }
    }
}
