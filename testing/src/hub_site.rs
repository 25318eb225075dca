//! A Hugging Face Hub in the test's own process: its two routes, and a second server for the contents of large files.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::site::{Page, Site};

/// A Hub. Large files are redirected to another server, as the Hub does.
pub struct HubSite {
    pub hub: Site,
    pub contents: Site,
}

impl Default for HubSite {
    fn default() -> Self {
        Self::new()
    }
}

/// How a repository keeps a file.
#[derive(Clone, Copy, PartialEq)]
pub enum Kept {
    /// In the large file storage, named by SHA-256, at the second server.
    Large,
    /// In git, under this name of its contents.
    InGit(&'static str),
}

/// Returns the SHA-256 of some bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl HubSite {
    pub fn new() -> Self {
        Self { hub: Site::new(), contents: Site::new() }
    }

    /// Publishes the files of a repository as a commit, under the names of some branches and its own. Earlier commits stay.
    pub fn publish(&self, repository: &str, commit: &str, branches: &[&str], files: &[(&str, Kept, &[u8])]) {
        let siblings: Vec<_> = files.iter().map(|(name, ..)| json!({ "rfilename": name })).collect();
        let listing = json!({ "id": repository, "sha": commit, "siblings": siblings }).to_string();
        for revision in branches.iter().chain(&[commit]) {
            let revision = revision.replace('/', "%2F");
            self.hub.put(format!("/api/models/{repository}/revision/{revision}"), Page::new(listing.as_str()));
            for (name, kept, bytes) in files {
                self.hub.put(format!("/{repository}/resolve/{revision}/{name}"), self.page(commit, *kept, bytes));
            }
        }
    }

    /// Makes the page of a file, and that of its contents.
    fn page(&self, commit: &str, kept: Kept, bytes: &[u8]) -> Page {
        match kept {
            Kept::InGit(etag) => Page::new(bytes).with("X-Repo-Commit", commit).with("ETag", format!("W/\"{etag}\"")),
            Kept::Large => {
                let etag = sha256(bytes);
                self.contents.put(format!("/{etag}?signed=yes"), Page::new(bytes));
                let page = Page { status: 302, ..Page::new("moved") };
                page.with("X-Repo-Commit", commit)
                    .with("X-Linked-ETag", format!("\"{etag}\""))
                    .with("X-Linked-Size", bytes.len().to_string())
                    .with("ETag", "\"of the answer itself\"")
                    .with("Location", format!("{}/{etag}?signed=yes", self.contents.url))
            }
        }
    }

    /// Demands a token for everything that the Hub itself has.
    pub fn demand(&self, token: &str) {
        self.hub.pages().pages.values_mut().for_each(|page| page.token = Some(token.into()));
    }

    /// Returns the requests to the Hub since the last call, such as `HEAD /o/n/resolve/main/model.safetensors`.
    pub fn requests(&self) -> Vec<String> {
        self.hub.requests().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }
}
