//! Where models are fetched from and kept, by the environment variables of Hugging Face's tools.

use std::{env, fmt, fs, path::PathBuf, time::Duration};

use crate::{Error, ErrorKind, Result};

/// Where models are fetched from and kept, and how patiently.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// The address of the Hub, such as `https://huggingface.co`.
    pub endpoint: String,
    /// The folder of the cache, which other tools share.
    pub cache: PathBuf,
    /// The token for private and restricted repositories. It is sent to the endpoint alone.
    pub token: Option<String>,
    /// Whether requests are forbidden, so that only the cache is read.
    pub offline: bool,
    /// Whether a snapshot holds links to the files of the cache, rather than copies.
    pub links: bool,
    /// How many consecutive attempts at a file may bring no further byte before the download fails.
    pub attempts: u32,
    /// The pause before the second attempt. It doubles with each further attempt, up to one minute.
    pub pause: Duration,
    /// How long the server may send nothing before the connection counts as lost.
    pub timeout: Duration,
}

/// Writes everything but the token.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        let Self { endpoint, cache, offline, links, attempts, pause, timeout, .. } = self;
        write!(f, "Options {{ endpoint: {endpoint:?}, cache: {cache:?}, token: {token:?}, offline: {offline}, ")?;
        write!(f, "links: {links}, attempts: {attempts}, pause: {pause:?}, timeout: {timeout:?} }}")
    }
}

impl Options {
    /// Reads the environment as Hugging Face's Python package does: `HF_ENDPOINT`; `HF_HUB_CACHE`, else the folder `hub` of
    /// `HF_HOME`, which is `huggingface` in `XDG_CACHE_HOME` or `~/.cache` if it is not set; `HF_TOKEN`, else the file
    /// `HF_TOKEN_PATH` or `token` in `HF_HOME`; `HF_HUB_DISABLE_IMPLICIT_TOKEN`; `HF_HUB_OFFLINE`; `HF_HUB_DISABLE_SYMLINKS`.
    ///
    /// # Errors
    /// `HF_ENDPOINT` is no address, the token has characters that no token has, or there is no folder for the cache.
    pub fn from_environment() -> Result<Self> {
        Self::of(&|name| env::var(name).ok(), env::home_dir())
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Result<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is_true = |name: &str| given(name).map(|value| TRUE.contains(&value.to_uppercase().as_str()));
        let path = |name: &str| given(name).map(|value| expanded(&value, variable, home.as_ref()));
        let cache = path("XDG_CACHE_HOME").or(home.as_ref().map(|home| home.join(".cache")));
        let hugging_face = path("HF_HOME").or(cache.map(|cache| cache.join("huggingface")));
        let cache = path("HF_HUB_CACHE").or(path("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or(hugging_face.as_ref().map(|folder| folder.join("hub"))).ok_or_else(|| {
            let cause = "there is no home folder for the cache of models";
            Error::new(ErrorKind::Usage, cause, "name a folder by HF_HUB_CACHE")
        })?;
        let stored = path("HF_TOKEN_PATH").or(hugging_face.map(|folder| folder.join("token")));
        let token = match is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            Some(true) => None,
            _ => given("HF_TOKEN")
                .or(given("HUGGING_FACE_HUB_TOKEN"))
                .or_else(|| fs::read_to_string(stored?).ok())
                .map(|token| token.trim().to_string())
                .filter(|token| !token.is_empty()),
        };
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            let cause = "the token for the Hub has characters that no token has";
            return Err(Error::new(ErrorKind::Usage, cause, "check HF_TOKEN, or the file of HF_TOKEN_PATH"));
        }
        let endpoint = given("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into()).trim_end_matches('/').to_string();
        if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
            let cause = format!("HF_ENDPOINT is '{endpoint}', no address of a server");
            return Err(Error::new(
                ErrorKind::Usage,
                cause,
                format!("set it to an address such as {ENDPOINT}, or unset it"),
            ));
        }
        let offline = is_true("HF_HUB_OFFLINE").or(is_true("TRANSFORMERS_OFFLINE")).unwrap_or(false);
        let links = !is_true("HF_HUB_DISABLE_SYMLINKS").unwrap_or(false);
        let (pause, timeout) = (Duration::from_secs(1), Duration::from_secs(10));
        Ok(Self { endpoint, cache, token, offline, links, attempts: 6, pause, timeout })
    }
}

/// The address of the Hub.
const ENDPOINT: &str = "https://huggingface.co";

/// The values of a variable that mean yes, in capital letters.
const TRUE: [&str; 4] = ["1", "ON", "YES", "TRUE"];

/// Replaces `~` at the beginning of a path, and `$NAME` or `${NAME}` where the variable is set.
fn expanded(path: &str, variable: &dyn Fn(&str) -> Option<String>, home: Option<&PathBuf>) -> PathBuf {
    let mut path = match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", home.display()),
        _ => path.to_string(),
    };
    let mut at = 0;
    while let Some(found) = path[at..].find('$') {
        let start = at + found;
        let rest = &path[start + 1..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, length) = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => (
                &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())],
                rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            ),
        };
        at = start + 1;
        if let Some(value) = variable(name).filter(|_| !name.is_empty()) {
            path.replace_range(start..start + 1 + length, &value);
            at = start + value.len();
        }
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Options> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Options::of(&variable, Some("/home/a".into()))
    }

    #[test]
    fn the_cache_is_where_other_tools_have_it() {
        for (variables, folder) in [
            (&[][..], "/home/a/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")], "/home/a/hf/hub"),
            (&[("HF_HOME", "$D/hf"), ("D", "/d")], "/d/hf/hub"),
            (&[("HF_HUB_CACHE", "${D}e/$NONE"), ("D", "/d")], "/de/$NONE"),
            (&[("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
        ] {
            assert_eq!(of(variables).unwrap().cache, PathBuf::from(folder), "{variables:?}");
        }
        assert!(Options::of(&|_| None, None).unwrap_err().remedy().contains("HF_HUB_CACHE"));
    }

    #[test]
    fn the_token_is_that_of_other_tools_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let [home, other] = ["token", "other"].map(|name| folder.path().join(name));
        fs::write(home, "hf_home\r\n").unwrap();
        fs::write(&other, " hf_other ").unwrap();
        let [folder, other] = [folder.path(), &other].map(|path| path.to_str().unwrap());
        for (variables, token) in [
            (&[("HF_HOME", folder)][..], Some("hf_home")),
            (&[("HF_HOME", folder), ("HF_TOKEN_PATH", other)], Some("hf_other")),
            (&[("HF_HOME", folder), ("HF_TOKEN", "hf_a\n")], Some("hf_a")),
            (&[("HF_HOME", folder), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], None),
            (&[("HF_HOME", "/nowhere")], None),
        ] {
            let options = of(variables).unwrap();
            assert_eq!(options.token.as_deref(), token, "{variables:?}");
            assert!(!format!("{options:?}").contains("hf_"), "{options:?}");
        }
        let error = of(&[("HF_TOKEN", "hf a\u{e4}")]).unwrap_err().to_string();
        assert!(error.contains("HF_TOKEN") && !error.contains("hf a"), "{error}");
    }

    #[test]
    fn the_hub_and_the_network_are_those_of_the_environment() {
        assert_eq!(of(&[]).unwrap().endpoint, "https://huggingface.co");
        assert_eq!(of(&[("HF_ENDPOINT", "http://mirror:8080/hub/")]).unwrap().endpoint, "http://mirror:8080/hub");
        assert!(of(&[("HF_ENDPOINT", "mirror")]).unwrap_err().cause().contains("'mirror'"));
        for (value, offline) in [("1", true), ("on", true), ("True", true), ("0", false), ("no", false), ("", false)] {
            assert_eq!(of(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, offline, "{value}");
        }
        assert!(of(&[("TRANSFORMERS_OFFLINE", "yes")]).unwrap().offline);
        assert!(of(&[]).unwrap().links && !of(&[("HF_HUB_DISABLE_SYMLINKS", "1")]).unwrap().links);
    }
}
