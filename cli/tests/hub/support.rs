//! A Hub with a repository, and an empty cache.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ecgpu::{
    Error, Result,
    engine::network::published::model_card_55k,
    hub::{Fetched, Options, fetch},
};
use ecgpu_testing::{
    WeightsFile,
    hub_site::{HubSite, Kept},
};
use tempfile::TempDir;

/// Two commits.
pub const FIRST: &str = "1111111111111111111111111111111111111111";
pub const SECOND: &str = "2222222222222222222222222222222222222222";

/// Returns the file of a small network; files of different means differ.
pub fn weights(mean: &str) -> Vec<u8> {
    // Written by ecgpu, so that equal contents have equal bytes.
    WeightsFile::random(&model_card_55k()).stating("mean", mean).read().unwrap().to_bytes()
}

pub struct Place {
    pub site: HubSite,
    pub folder: TempDir,
}

impl Place {
    /// Starts a Hub without a repository.
    pub fn empty() -> Self {
        Self { site: HubSite::new(), folder: TempDir::new().unwrap() }
    }

    /// Starts a Hub whose repository `o/n` has one large file at its first commit.
    pub fn new() -> Self {
        let place = Self::empty();
        place.publish(FIRST, &[("model.safetensors", &weights("0"))]);
        place
    }

    /// Publishes large files as a commit of `o/n` and as its branch `main`.
    pub fn publish(&self, commit: &str, files: &[(&str, &[u8])]) {
        let files: Vec<_> = files.iter().map(|(name, bytes)| (*name, Kept::Large, *bytes)).collect();
        self.site.publish("o/n", commit, &["main"], &files);
    }

    pub fn options(&self) -> Options {
        Options {
            endpoint: self.site.hub.url.clone(),
            cache: self.cache(),
            token: None,
            offline: false,
            links: true,
            attempts: 4,
            pause: Duration::from_millis(1),
            timeout: Duration::from_millis(500),
        }
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    /// Returns a path in the cache's folder of `o/n`.
    pub fn cached(&self, path: &str) -> PathBuf {
        self.cache().join("models--o--n").join(path)
    }

    pub fn fetch(&self, name: &str) -> Result<Fetched> {
        self.fetch_with(name, &self.options())
    }

    pub fn fetch_with(&self, name: &str, options: &Options) -> Result<Fetched> {
        fetch(&name.parse()?, options, &|_| ())
    }

    /// Returns the error of a fetch, which leaves no contents in the cache.
    pub fn refused(&self, name: &str) -> Error {
        let error = self.fetch(name).unwrap_err();
        assert!(!error.remedy().is_empty(), "{error}");
        for folder in ["blobs", "snapshots"] {
            let left = files_in(&self.cached(folder));
            assert!(left.iter().all(|path| path.to_string_lossy().ends_with(".incomplete")), "{left:?}");
        }
        error
    }

    /// Prepares a call of the program with this Hub and this cache.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecgpu"));
        command.args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", &self.site.hub.url).env("HF_HOME", self.folder.path());
        command.env_remove("HF_HUB_CACHE").env_remove("HF_HUB_DISABLE_SYMLINKS");
        command
    }
}

/// Returns all files and links in a folder and its folders.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files_in(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}
