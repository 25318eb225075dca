//! Collects the files of the page, `page/`, and of the engine for browsers, `bindings/web/dist/`, if that was built, compressed
//! by gzip: a table of constants that `http/page.rs` includes. Without the engine the page computes on the server.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    fmt::Write as _,
    fs,
    hash::Hasher,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

/// The files of the engine for browsers.
const ENGINE: [&str; 4] = ["ecgpu.js", "ecgpu_bg.js", "ecgpu_bg.wasm", "weights.safetensors"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    let (page, bindings) = (root.join("page"), root.join("bindings/web"));
    for folder in [&page, &bindings] {
        if folder.exists() {
            println!("cargo:rerun-if-changed={}", folder.display());
        }
    }
    let mut table = String::from("[\n");
    let mut files: Vec<PathBuf> = match fs::read_dir(&page) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?,
        Err(_) => Vec::new(),
    };
    files.sort();
    for path in files.iter().filter(|path| path.is_file()) {
        add(&mut table, path, "/")?;
    }
    let engine = ENGINE.map(|name| bindings.join("dist").join(name));
    if engine.iter().all(|path| path.is_file()) {
        for path in &engine {
            add(&mut table, path, "/engine/")?;
        }
    }
    table += "]";
    fs::write(PathBuf::from(variable("OUT_DIR")).join("page.rs"), table)
}

fn variable(name: &str) -> String {
    env::var(name).expect("Cargo sets it for build scripts")
}

/// Adds a file to the table. Its entity tag is a hash of its content. Files of other kinds are left out.
fn add(table: &mut String, path: &Path, folder: &str) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        Some("safetensors") => "application/octet-stream",
        _ => return Ok(()),
    };
    let content = fs::read(path)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&content);
    let tag = format!("{:016x}", hasher.finish());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    let compressed = PathBuf::from(variable("OUT_DIR")).join(format!("{name}.gz"));
    fs::write(&compressed, encoder.finish()?)?;
    let route = format!("{folder}{name}");
    let path = compressed.display().to_string();
    let line = writeln!(
        table,
        "File {{ route: {route:?}, kind: {kind:?}, tag: {tag:?}, compressed: include_bytes!({path:?}) }},"
    );
    line.map_err(io::Error::other)
}
