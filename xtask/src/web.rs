//! The npm package `ecgpu`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result,
    tools::{check_target, check_wasm_bindgen, output, run},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// The files of the package that are there as they are, each with its folder below the repository.
const FILES: [(&str, &str); 6] = [
    ("bindings/web", "package.json"),
    ("bindings/web", "README.md"),
    ("bindings/web/js", "ecgpu.js"),
    ("bindings/web/js", "ecgpu.d.ts"),
    ("weights", "ssl-ecg-542k.safetensors"),
    (".", "LICENSE"),
];

/// The name that the built-in weights have in the package.
const WEIGHTS: &str = "weights.safetensors";

/// The features of WebAssembly that the compiler uses.
const FEATURES: [&str; 8] = [
    "bulk-memory",
    "bulk-memory-opt",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
    "simd",
];

/// Where the package goes, and what compiles.
pub struct Options {
    out: PathBuf,
    /// Another cargo than this one, which has the target itself.
    cargo: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments of the task; none if they make no sense.
    pub fn of(arguments: &[String]) -> Option<Self> {
        let [task, rest @ ..] = arguments else { return None };
        let mut options = Self { out: "bindings/web/dist".into(), cargo: None };
        for option in rest.chunks(2) {
            match option {
                [name, value] if name == "--out" => options.out = value.into(),
                [name, value] if name == "--cargo" => options.cargo = Some(value.into()),
                _ => return None,
            }
        }
        (task == "web").then_some(options)
    }
}

/// Compiles the engine for WebAssembly and puts the package together.
///
/// # Errors
/// A tool is missing or fails, or a file cannot be written.
pub fn build(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let out = std::path::absolute(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    check_version(root)?;
    check_wasm_bindgen()?;
    let module = compile(root, options)?;
    // A package begins empty, so that it has no file of an earlier build.
    if out.exists() {
        check_own(&out)?;
        fs::remove_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    bind(&module, &out)?;
    optimise(&out.join("ecgpu_bg.wasm"))?;
    for (folder, name) in FILES {
        let to = out.join(if name.ends_with(".safetensors") { WEIGHTS } else { name });
        fs::copy(root.join(folder).join(name), &to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    println!("{}", out.display());
    Ok(())
}

/// Checks that the package has the version of the workspace.
fn check_version(root: &Path) -> Result<()> {
    let path = root.join("bindings/web/package.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    if text.contains(&format!("\"version\": \"{version}\"")) {
        return Ok(());
    }
    Err(format!("{} has another version than Cargo.toml: write {version}", path.display()))
}

/// Checks that a folder holds an earlier build or nothing, before it is emptied.
fn check_own(out: &Path) -> Result<()> {
    let is_empty = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty || out.join("ecgpu_bg.wasm").is_file() {
        return Ok(());
    }
    Err(format!("{} holds something else than an earlier build: name another folder", out.display()))
}

/// Compiles the module and returns its path.
fn compile(root: &Path, options: &Options) -> Result<PathBuf> {
    let cargo = match &options.cargo {
        Some(cargo) => cargo.clone(),
        None => {
            check_target(TARGET)?;
            env!("CARGO").into()
        }
    };
    let folder = root.join("target/web");
    let mut build = Command::new(cargo);
    build.args(["build", "-p", "ecgpu-web", "--locked", "--profile", "web", "--target", TARGET, "--target-dir"]);
    build.arg(&folder).arg("--config").arg(format!("target.{TARGET}.rustflags={:?}", flags()));
    build.current_dir(root).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut build, "name another cargo with --cargo")?;
    Ok(folder.join(TARGET).join("web/ecgpu_web.wasm"))
}

/// The flags of the compiler. The inner loops are inlined by attribute; of everything else, which reads files, only the
/// smallest functions are, which makes the module a fifth smaller. The places of panics do not name the machine's folders.
fn flags() -> Vec<String> {
    let cargo_home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    let remapped = cargo_home.map(|home| format!("--remap-path-prefix={home}/registry/src=crates"));
    let flags = ["-Ctarget-feature=+simd128", "-Cllvm-args=-inline-threshold=25"].map(String::from);
    flags.into_iter().chain(remapped).collect()
}

/// Makes the JavaScript that calls the module, `ecgpu_bg.js`, and the module that it loads, `ecgpu_bg.wasm`.
fn bind(module: &Path, out: &Path) -> Result<()> {
    let mut bindgen = Command::new("wasm-bindgen");
    bindgen.args(["--target", "web", "--no-typescript", "--omit-default-module-path"]);
    // After a panic, a new instance takes the place of the stopped one.
    bindgen.args(["--experimental-reset-state-function", "--remove-name-section", "--remove-producers-section"]);
    bindgen.args(["--out-name", "ecgpu", "--out-dir"]).arg(out).arg(module);
    run(&mut bindgen, "install wasm-bindgen-cli")?;
    // ecgpu.js is the surface, which is written by hand.
    fs::rename(out.join("ecgpu.js"), out.join("ecgpu_bg.js")).map_err(|error| format!("{}: {error}", out.display()))
}

/// Optimises the module where Binaryen is installed.
fn optimise(module: &Path) -> Result<()> {
    if output("wasm-opt", &["--version"]).is_none() {
        eprintln!("note: wasm-opt is not installed, so the module stays larger: npm install --global binaryen");
        return Ok(());
    }
    let mut optimiser = Command::new("wasm-opt");
    optimiser.args(["-O3", "--strip-debug", "--strip-producers"]);
    optimiser.args(FEATURES.map(|feature| format!("--enable-{feature}"))).arg("-o").arg(module).arg(module);
    run(&mut optimiser, "install Binaryen")
}
