//! The cache beside Hugging Face's own Python package: each finds what the other has downloaded.

use std::ffi::OsStr;

use ecgpu_testing::python;

use crate::support::{FIRST, Place, SECOND, weights};

#[test]
fn hugging_faces_package_and_ecgpu_share_the_cache() {
    let Some(script) = python("huggingface_hub", "hub_cache.py") else { return };
    for links in [true, false] {
        let place = Place::new();
        let options = ecgpu::hub::Options { links, ..place.options() };
        let cache = place.cache();
        let path = |how: &str, revision: &str| {
            let links = if links { "links" } else { "copies" };
            let arguments = [&place.site.hub.url, cache.to_str().unwrap(), how, links, "o/n", revision];
            script(&arguments.map(OsStr::new)).trim().to_string()
        };
        // What ecgpu has fetched, the package finds without a network.
        let fetched = place.fetch_with("hf:o/n", &options).unwrap();
        for revision in ["main", FIRST] {
            assert_eq!(path("local", revision), fetched.path.display().to_string());
        }
        assert_eq!(path("scan", "main"), format!("o/n {FIRST} main 1"));
        // What the package has fetched, ecgpu finds without a request.
        place.publish(SECOND, &[("model.safetensors", &weights("0.5"))]);
        let theirs = path("fetch", "main");
        place.site.requests();
        for name in ["hf:o/n", &format!("hf:o/n@{SECOND}")] {
            let offline = ecgpu::hub::Options { offline: true, ..options.clone() };
            assert_eq!(place.fetch_with(name, &offline).unwrap().path.display().to_string(), theirs);
        }
        assert_eq!(place.fetch_with(&format!("hf:o/n@{SECOND}"), &options).unwrap().path.display().to_string(), theirs);
        assert_eq!(place.site.requests(), Vec::<String>::new());
    }
}
