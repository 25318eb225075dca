//! Which file a name stands for, where the cache keeps it, and when the Hub is asked.

use std::{fs, path::Path};

use ecgpu::{ErrorKind, Weights, engine::network::published};
use ecgpu_testing::{WeightsFile, hub_site::sha256};

use crate::support::{FIRST, Place, SECOND, weights};

const LIST: &str = "GET /api/models/o/n/revision/main";

#[test]
fn a_model_is_downloaded_once_into_the_layout_of_other_tools() {
    let place = Place::new();
    let (bytes, at_commit) = (weights("0"), format!("/o/n/resolve/{FIRST}/model.safetensors"));
    let fetched = place.fetch("hf:o/n").unwrap();
    assert_eq!(fetched.path, place.cached(&format!("snapshots/{FIRST}/model.safetensors")));
    assert_eq!(fetched.reference.to_string(), format!("hf:o/n@{FIRST}/model.safetensors"));
    assert!(fs::read(&fetched.path).unwrap() == bytes);
    assert_eq!(fs::read_to_string(place.cached("refs/main")).unwrap(), FIRST);
    let blob = sha256(&bytes);
    assert!(fs::read(place.cached(&format!("blobs/{blob}"))).unwrap() == bytes);
    #[cfg(unix)]
    assert_eq!(fs::read_link(&fetched.path).unwrap(), Path::new("../../blobs").join(&blob));
    assert_eq!(place.site.requests(), [LIST.into(), format!("HEAD {at_commit}"), format!("GET {at_commit}")]);
    // A branch may have moved; a commit never does.
    assert_eq!(place.fetch("hf:o/n"), Ok(fetched.clone()));
    assert_eq!(place.site.requests(), [LIST]);
    for name in [format!("hf:o/n@{FIRST}"), fetched.reference.to_string()] {
        assert_eq!(place.fetch(&name), Ok(fetched.clone()));
    }
    assert_eq!(place.site.requests(), Vec::<String>::new());
    assert_eq!(place.site.contents.requests().len(), 1);
}

#[test]
fn a_named_file_and_a_named_revision_are_taken() {
    let place = Place::empty();
    let [a, b] = ["0.1", "0.2"].map(weights);
    place.publish(FIRST, &[("model.safetensors", &a), ("sub/other one.safetensors", &b)]);
    let (file, commit) = ("sub/other%20one.safetensors", FIRST);
    for revision in ["main", "refs%2Fpr%2F7", commit] {
        let page = place.site.hub.pages().pages["/o/n/resolve/main/sub/other one.safetensors"].clone();
        place.site.hub.put(format!("/o/n/resolve/{revision}/{file}"), page);
    }
    for name in ["hf:o/n/sub/other one.safetensors", "hf:o/n@refs/pr/7/sub/other one.safetensors"] {
        let fetched = place.fetch(name).unwrap();
        assert!(fs::read(&fetched.path).unwrap() == b, "{name}");
        assert_eq!(fetched.reference.to_string(), format!("hf:o/n@{commit}/sub/other one.safetensors"));
    }
    assert_eq!(fs::read_to_string(place.cached("refs/refs/pr/7")).unwrap(), commit);
    #[cfg(unix)]
    assert!(
        fs::read_link(place.cached(&format!("snapshots/{commit}/sub/other one.safetensors")))
            .unwrap()
            .starts_with("../../../blobs")
    );
}

#[test]
fn a_branch_that_moved_is_followed_and_equal_contents_are_not_fetched_again() {
    let place = Place::new();
    let old = place.fetch("hf:o/n").unwrap();
    place.publish(SECOND, &[("model.safetensors", &weights("0"))]);
    let same = place.fetch("hf:o/n").unwrap();
    assert!(same.reference.revision() == Some(SECOND) && same.path != old.path);
    assert_eq!(place.site.contents.requests().len(), 1);
    let third = "3".repeat(40);
    place.publish(&third, &[("model.safetensors", &weights("0.5"))]);
    assert!(fs::read(place.fetch("hf:o/n").unwrap().path).unwrap() == weights("0.5"));
    assert_eq!(fs::read_to_string(place.cached("refs/main")).unwrap(), third);
    assert_eq!(place.fetch(&format!("hf:o/n@{FIRST}")), Ok(old));
}

#[test]
fn without_a_file_the_only_one_is_taken_and_several_are_listed() {
    let place = Place::empty();
    let bytes = weights("0");
    place.publish(FIRST, &[("README.md", b"#"), ("ecg.safetensors", &bytes)]);
    assert!(place.fetch("hf:o/n").unwrap().path.ends_with("ecg.safetensors"));
    place.site.requests();
    place.fetch(&format!("hf:o/n@{FIRST}")).unwrap();
    assert_eq!(place.site.requests(), Vec::<String>::new(), "the cache knows that there is no model.safetensors");
    for (files, cause) in [
        (&["a.safetensors", "b.safetensors"][..], "several files: a.safetensors, b.safetensors"),
        (&["README.md"], "no safetensors file"),
        (&["pytorch_model.bin"], "only pickles (pytorch_model.bin)"),
        (&["../../x.safetensors", "/etc/x.safetensors", "a\\..\\x.safetensors"], "no safetensors file"),
    ] {
        let place = Place::empty();
        place.publish(SECOND, &files.iter().map(|file| (*file, &bytes[..])).collect::<Vec<_>>());
        let error = place.refused("hf:o/n");
        assert!(error.cause().starts_with("hf:o/n: ") && error.cause().contains(cause), "{error}");
    }
}

#[test]
fn without_a_network_the_cache_is_enough() {
    let place = Place::new();
    let offline = ecgpu::hub::Options { offline: true, ..place.options() };
    let error = place.fetch_with("hf:o/n", &offline).unwrap_err();
    assert!(
        error.cause().contains("HF_HUB_OFFLINE forbids") && error.remedy().contains("unset HF_HUB_OFFLINE"),
        "{error}"
    );
    let fetched = place.fetch("hf:o/n").unwrap();
    place.site.requests();
    for name in ["hf:o/n", "hf:o/n@main", "hf:o/n/model.safetensors", &format!("hf:o/n@{FIRST}")] {
        assert_eq!(place.fetch_with(name, &offline), Ok(fetched.clone()), "{name}");
    }
    assert!(place.fetch_with("hf:o/n@v2", &offline).is_err());
    assert_eq!(place.site.requests(), Vec::<String>::new());
    // A port that was free a moment ago, where no server answers.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = ecgpu::hub::Options { endpoint: format!("http://{port}"), ..place.options() };
    assert_eq!(place.fetch_with("hf:o/n", &unreachable), Ok(fetched.clone()));
    let error = place.fetch_with("hf:o/other", &unreachable).unwrap_err();
    assert!(error.cause().contains("refused") && error.remedy().starts_with("check the network"), "{error}");
    // A Hub that is out of order is like none.
    place.site.hub.faults("/api/models/o/n/revision/main", &[ecgpu_testing::site::Fault::Status(503)]);
    assert_eq!(place.fetch("hf:o/n"), Ok(fetched));
}

#[test]
fn a_cache_that_cannot_be_written_is_read() {
    let place = Place::new();
    let fetched = place.fetch("hf:o/n").unwrap();
    fs::remove_file(place.cached("refs/main")).unwrap();
    fs::remove_dir(place.cached("refs")).unwrap();
    fs::write(place.cached("refs"), "no folder").unwrap();
    assert_eq!(place.fetch("hf:o/n"), Ok(fetched));
}

#[test]
fn where_links_are_not_possible_a_snapshot_holds_a_copy() {
    let place = Place::new();
    let options = ecgpu::hub::Options { links: false, ..place.options() };
    let fetched = place.fetch_with("hf:o/n", &options).unwrap();
    assert!(!fetched.path.is_symlink() && fs::read(&fetched.path).unwrap() == weights("0"));
    place.site.requests();
    assert_eq!(place.fetch_with(&format!("hf:o/n@{FIRST}"), &options), Ok(fetched));
    assert_eq!(place.site.requests(), Vec::<String>::new());
}

#[test]
fn pickles_and_paths_that_lead_elsewhere_are_refused_before_any_request() {
    let place = Place::new();
    for (name, cause) in [
        ("hf:o/n/pytorch_model.bin", "a pickle"),
        ("hf:o/n@main/model.pt", "a pickle"),
        ("hf:o/n/model.onnx", "no safetensors file"),
        ("hf:o/n/../../x.safetensors", "no name of a repository"),
        ("hf:../n", "no name of a repository"),
        ("hf:o/n@..%2F..%2Fx", "no name of a repository"),
    ] {
        let error = place.refused(name);
        assert!(error.kind() == ErrorKind::Usage && error.cause().contains(cause), "{error}");
    }
    assert_eq!(place.site.requests(), Vec::<String>::new());
}

#[test]
fn both_published_networks_load_as_published() {
    for network in published::all() {
        let (place, file) = (Place::empty(), WeightsFile::random(&network));
        place.publish(FIRST, &[("model.safetensors", &file.to_bytes())]);
        let output = place.command(&["inspect", "--json", "hf:o/n"]).output().unwrap();
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&object["network"], &object["notes"]), (&network.name.as_str().into(), &serde_json::json!([])));
        assert_eq!(object["source"], format!("hf:o/n@{FIRST}/model.safetensors"));
    }
}

/// Where this program, started by the test below, finds the name to open.
const NAME: &str = "ECGPU_TEST_NAME";

#[test]
fn from_pretrained_takes_a_repository_a_file_a_folder_or_a_name() {
    if let Ok(name) = std::env::var(NAME) {
        return println!("source: {}", Weights::from_pretrained(&name).map_or_else(|e| e.to_string(), |w| w.source));
    }
    let place = Place::new();
    let folder = place.folder.path();
    fs::create_dir_all(folder.join("several")).unwrap();
    fs::create_dir_all(folder.join("own/net")).unwrap();
    for file in ["own/net/net.safetensors", "several/a.safetensors", "several/b.safetensors"] {
        fs::write(folder.join(file), weights("0")).unwrap();
    }
    // The library reads the environment, so that a process of its own is needed.
    let source = |name: &str| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let test = "names::from_pretrained_takes_a_repository_a_file_a_folder_or_a_name";
        command.args(["--exact", test, "--nocapture"]).env(NAME, name).current_dir(folder);
        let output =
            command.env("HF_ENDPOINT", &place.site.hub.url).env("HF_HUB_CACHE", place.cache()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| Some(line.split_once("source: ")?.1.to_string())).unwrap_or(text)
    };
    let pinned = format!("hf:o/n@{FIRST}/model.safetensors");
    for (name, expected) in [
        ("o/n", pinned.as_str()),
        ("o/n@main", &pinned),
        ("o/n@main/model.safetensors", &pinned),
        ("hf:o/n", &pinned),
        ("own/net", "own/net/net.safetensors"),
        ("own/net/net.safetensors", "own/net/net.safetensors"),
        ("55k", "55k"),
    ] {
        assert_eq!(source(name), expected, "{name}");
    }
    assert!(source("several").contains("several files: a.safetensors, b.safetensors"), "{}", source("several"));
    assert!(source("own/absent.safetensors").contains("check the path"), "{}", source("own/absent.safetensors"));
    assert!(source("o/absent").contains("has no repository o/absent"), "{}", source("o/absent"));
}
