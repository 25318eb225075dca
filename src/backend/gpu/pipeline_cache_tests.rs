//! A driver gets only bytes that were saved for its device.

use super::*;

const KEY: &str = "key_1, A GPU (vulkan, maker 1.2), ecgpu 0.1.0";

fn refused(contents: &[u8], key: &str) -> String {
    decode(contents, key).unwrap_err().to_string()
}

#[test]
fn a_file_is_read_only_for_the_device_that_it_was_written_for() {
    for data in [&b""[..], b"WGPU", &[0; 3000]] {
        assert_eq!(decode(&encode(KEY, data), KEY), Ok(data));
    }
    let error = refused(&encode(KEY, b"data"), "key_2, Another GPU");
    assert!(error.starts_with(&format!("a pipeline cache for {KEY}, and this is key_2")), "{error}");
}

#[test]
fn a_file_that_is_cut_short_or_too_long_is_refused() {
    let file = encode(KEY, b"what a driver gave");
    for length in 0..file.len() {
        let error = refused(&file[..length], KEY);
        assert!(error.starts_with("a damaged pipeline cache"), "{length}: {error}");
        assert!(is_pipeline_cache(&file[..length]), "a part of one is replaced");
    }
    assert!(refused(&[&file[..], b"."].concat(), KEY).contains("bytes where"));
    let large = [&MAGIC[..], &vec![0; LARGEST]].concat();
    assert!(refused(&large, KEY).contains("too large"));
}

#[test]
fn every_flipped_bit_is_detected() {
    let file = encode(KEY, b"what a driver gave");
    for bit in 0..8 * file.len() {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = decode(&flipped, KEY).expect_err("a flipped bit is noticed");
        // A file with another beginning may be of another kind and must not be lost.
        let is_ours = bit / 8 >= MAGIC.len();
        assert_eq!(is_pipeline_cache(&flipped), is_ours);
        assert_eq!(error.cause() != "no pipeline cache", is_ours, "{error}");
    }
}

#[test]
fn a_file_is_replaced_atomically() {
    let folder = tempfile::tempdir().unwrap();
    let names =
        || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let file = folder.path().join("a");
    for contents in [&b"first"[..], b"second"] {
        files::replace(&file, contents).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), contents);
    }
    assert_eq!(names(), ["a"]);
    // A folder with contents is not replaced by a file, and no temporary file remains.
    std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
    assert!(files::replace(&folder.path().join("b"), b"third").is_err());
    assert!(files::replace(&folder.path().join("none/a"), b"third").is_err());
    assert_eq!(names().len(), 2, "{:?}", names());
}
