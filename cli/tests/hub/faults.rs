//! What goes wrong on the way, and what the Hub refuses.

use std::fs;

use ecgpu::ErrorKind;
use ecgpu_testing::{
    hub_site::{Kept, sha256},
    site::{Fault, Page},
};

use crate::support::{FIRST, Place, weights};

/// Returns the path of the contents at the second server.
fn contents(bytes: &[u8]) -> String {
    format!("/{}?signed=yes", sha256(bytes))
}

/// Returns the first bytes of the requests for contents since the last call.
fn starts(place: &Place) -> Vec<usize> {
    place.site.contents.requests().into_iter().map(|request| request.start).collect()
}

#[test]
fn a_download_resumes_where_the_connection_broke() {
    let (place, bytes) = (Place::new(), weights("0"));
    let faults = [Fault::Drop(7000), Fault::Drop(0), Fault::Drop(1), Fault::Stall(6000)];
    place.site.contents.faults(&contents(&bytes), &faults);
    assert!(fs::read(place.fetch("hf:o/n").unwrap().path).unwrap() == bytes);
    assert_eq!(starts(&place), [0, 7000, 7000, 7001, 13_001]);
}

#[test]
fn a_part_of_an_earlier_download_is_completed_and_a_foreign_part_replaced() {
    let bytes = weights("0");
    for (held, requests) in [
        (bytes[..100].to_vec(), vec![100]),
        (bytes.clone(), vec![bytes.len()]),
        (b"foreign".to_vec(), vec![7, 0]),
        (vec![0; bytes.len() + 5], vec![bytes.len() + 5, 0]),
    ] {
        let place = Place::new();
        let part = place.cached(&format!("blobs/{}.incomplete", sha256(&bytes)));
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, held).unwrap();
        assert!(fs::read(place.fetch("hf:o/n").unwrap().path).unwrap() == bytes);
        assert!(starts(&place) == requests && !part.exists());
    }
}

#[test]
fn contents_with_a_wrong_checksum_never_get_into_the_cache() {
    let (place, bytes) = (Place::new(), weights("0"));
    place.site.contents.faults(&contents(&bytes), &[Fault::WrongBytes; 2]);
    let error = place.refused("hf:o/n");
    assert!(
        error.kind() == ErrorKind::Download && error.cause().contains("checksum is not that of the Hub"),
        "{error}"
    );
    assert!(!error.to_string().contains("signed"), "an address with a signature is a secret: {error}");
    assert!(!place.cached("refs/main").exists());
    // A first damaged copy is replaced.
    place.site.contents.faults(&contents(&bytes), &[Fault::WrongBytes]);
    assert!(fs::read(place.fetch("hf:o/n").unwrap().path).unwrap() == bytes);
}

#[test]
fn contents_that_git_keeps_have_the_checksum_of_git() {
    // `printf 'what is up, doc?' | git hash-object --stdin`
    let kept = Kept::InGit("bd9dbf5aae1a3862dd1526723246b20206e5fc37");
    let place = Place::empty();
    let file = [("model.safetensors", kept, &b"what is up, doc?"[..])];
    place.site.publish("o/n", FIRST, &["main"], &file);
    let at = format!("/o/n/resolve/{FIRST}/model.safetensors");
    place.site.hub.pages().pages.get_mut(&at).unwrap().body = b"what is up, cat?".to_vec();
    assert!(place.refused("hf:o/n").cause().contains("checksum is not that of the Hub"));
    place.site.publish("o/n", FIRST, &["main"], &file);
    assert!(fs::read(place.fetch("hf:o/n").unwrap().path).unwrap() == b"what is up, doc?");
}

#[test]
fn the_token_is_sent_to_the_hub_alone() {
    let place = Place::new();
    place.site.demand("hf_secret");
    // The Hub answers for a repository that was renamed with a redirect to itself.
    for page in ["/api/models/o/n/revision/main", &format!("/o/n/resolve/{FIRST}/model.safetensors")] {
        let moved = Page { status: 307, token: Some("hf_secret".into()), ..Page::new("") };
        place.site.hub.put(page.replacen("o/n", "o/old", 1), moved.with("Location", page));
    }
    let options = ecgpu::hub::Options { token: Some("hf_secret".into()), ..place.options() };
    place.fetch_with("hf:o/old", &options).unwrap();
    let asked = place.site.hub.requests();
    assert!(asked.len() == 6 && asked.iter().all(|request| request.token.as_deref() == Some("hf_secret")), "{asked:?}");
    let fetched = place.site.contents.requests();
    assert!(fetched.len() == 1 && fetched[0].token.is_none(), "{fetched:?}");
}

#[test]
fn what_the_hub_refuses_is_explained() {
    let place = Place::new();
    place.site.demand("hf_secret");
    let refused = |token: Option<&str>| {
        let options = ecgpu::hub::Options { token: token.map(String::from), ..place.options() };
        place.fetch_with("hf:o/n", &options).unwrap_err()
    };
    let error = refused(None);
    assert!(error.cause().contains("o/n does not exist, or is private"), "{error}");
    assert!(error.remedy().contains("set HF_TOKEN"), "{error}");
    let error = refused(Some("hf_wrong"));
    assert!(error.cause().contains("the token has no access") && !error.to_string().contains("hf_wrong"), "{error}");
    for (status, code, cause, remedy) in [
        (403, "GatedRepo", "access to o/n is restricted", "ask for it at http"),
        (401, "GatedRepo", "access to o/n is restricted", "HF_TOKEN"),
        (404, "RevisionNotFound", "o/n has no revision v2", "a branch, a tag or a commit"),
        (404, "EntryNotFound", "o/n has no file a.safetensors at v2", "see its files at http"),
        (404, "RepoNotFound", "has no repository o/n", "HF_TOKEN"),
        (410, "", "answers status 410 for o/n", "HF_ENDPOINT"),
    ] {
        place
            .site
            .hub
            .put("/o/n/resolve/v2/a.safetensors", Page { status, ..Page::new("") }.with("X-Error-Code", code));
        let error = place.refused("hf:o/n@v2/a.safetensors");
        assert!(error.cause().contains(cause) && error.remedy().contains(remedy), "{error}");
    }
    let error = place.refused("hf:o/absent");
    assert!(error.cause().contains("has no repository o/absent"), "{error}");
    place.site.hub.faults("/api/models/o/n/revision/main", &[Fault::Status(503); 4]);
    place.site.requests();
    assert!(place.refused("hf:o/n").cause().contains("503"));
    assert_eq!(place.site.requests().len(), 3);
}

#[test]
fn a_server_that_is_no_hub_or_means_harm_is_refused() {
    let place = Place::empty();
    let (path, name) = ("/o/n/resolve/main/model.safetensors", "hf:o/n/model.safetensors");
    let page = || Page::new("x").with("X-Repo-Commit", FIRST);
    for (page, cause) in [
        (Page::new("<html>"), "no X-Repo-Commit"),
        (Page::new("x").with("X-Repo-Commit", "../../x").with("ETag", "a"), "no X-Repo-Commit"),
        (page(), "no ETag"),
        (page().with("ETag", "\"../../x\""), "no ETag"),
        (
            page().with("ETag", "\"a\"").with("X-Linked-Size", "900000000"),
            "900000000 bytes, more than any known network",
        ),
        (page().with("ETag", "\"a\"").with("X-Linked-Size", "7"), "its 1 bytes are not the 7 of the Hub"),
    ] {
        for revision in ["main", FIRST] {
            place.site.hub.put(path.replace("main", revision), page.clone());
        }
        let error = place.refused(name);
        assert!(error.kind() == ErrorKind::Download && error.cause().contains(cause), "{error}");
    }
    // More than the Hub stated is not received.
    let endless = page().with("ETag", "\"a\"").with("X-Linked-Size", "7");
    for revision in ["main", FIRST] {
        place.site.hub.put(path.replace("main", revision), Page { body: vec![0; 10 << 20], ..endless.clone() });
    }
    assert!(place.refused(name).cause().contains("are not the 7 of the Hub"));
    for listing in ["<html>", "{}", "{\"sha\": \"../x\", \"siblings\": []}"] {
        place.site.hub.put("/api/models/o/n/revision/main", Page::new(listing));
        let error = place.refused("hf:o/n");
        assert!(
            error.cause().contains("list of files cannot be read") && error.remedy().contains("HF_ENDPOINT"),
            "{error}"
        );
    }
    for location in ["/loop", "https://"] {
        place.site.hub.put("/loop", Page { status: 302, ..Page::new("") }.with("Location", "/loop"));
        place.site.hub.put(path, Page { status: 302, ..Page::new("") }.with("Location", location));
        place.refused(name);
    }
}

/// Every write to /dev/full fails like on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_download_with_an_explanation() {
    let place = Place::new();
    let part = place.cached(&format!("blobs/{}.incomplete", sha256(&weights("0"))));
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = place.fetch("hf:o/n").unwrap_err();
    assert!(error.kind() == ErrorKind::File && error.remedy().contains("the disk is full"), "{error}");
    assert!(error.remedy().contains("resumes where"), "{error}");
}
