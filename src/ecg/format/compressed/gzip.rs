//! Files compressed by gzip (RFC 1952).

use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{
    super::{Format, ReadOptions, Reading, Source, damaged, recognise::Recognised},
    inflate::Budget,
    is_nested, read_whole,
};
use crate::{Recording, Result};

/// Files compressed by gzip.
pub(in crate::ecg::format) const FORMAT: Format = Format {
    name: "gzip",
    extensions: &["gz"],
    companions: &[],
    // Identification and the only method of compression, RFC 1952, section 2.3.1.
    recognises: |start| start.starts_with(b"\x1f\x8b\x08"),
    plausible: None,
    reading: Reading::Whole(read),
};

/// Reads the recordings of the file within.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let compressed = read_whole(source)?;
    let decoder = MultiGzDecoder::new(&compressed[..]);
    let kept = decoder.header().and_then(|header| header.filename()).map(file_name);
    let name = inner_name(source.path(), kept);
    let bytes = Budget::of(compressed.len() as u64).read(decoder)?;
    let parts = [(name.as_str(), &bytes[..])];
    let (recognised, _) = Recognised::of_parts(&parts)?;
    if is_nested(&recognised) {
        return Err(damaged(format!("{name} is itself a compressed file"), "unpack it, and give the files"));
    }
    recognised.read(Source::Parts(parts.to_vec()), options)
}

/// Returns the name of the file within: that of the compressed file without `.gz`, or else the one that gzip kept.
fn inner_name(path: &Path, kept: Option<String>) -> String {
    let is_gz = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let own = if is_gz { path.file_stem() } else { path.file_name() };
    let own = own.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    // The name r.gz does not tell what is within, but gzip may have kept r.npy.
    let tells = Path::new(&own).extension().is_some();
    kept.filter(|kept| !tells && !kept.is_empty()).unwrap_or(own)
}

/// Returns the last part of a name that gzip kept, which must not lead to another folder.
fn file_name(kept: &[u8]) -> String {
    let text = String::from_utf8_lossy(kept);
    text.rsplit(['/', '\\']).next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_within_is_named_by_the_file_or_by_gzip() {
        let name =
            |path: &str, kept: Option<&str>| inner_name(Path::new(path), kept.map(|name| file_name(name.as_bytes())));
        assert_eq!(name("a/r.npy.gz", Some("other.csv")), "r.npy");
        assert_eq!(name("a/r.gz", Some("../x/q.csv")), "q.csv");
        assert_eq!(name("a/r.GZ", None), "r");
        assert_eq!(name("a/download", None), "download");
    }
}
