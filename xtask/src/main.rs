//! Builds what cargo does not build by itself: `cargo run -p xtask -- web`.

mod tools;
mod web;

use std::process::ExitCode;

/// What a task returns: its error is a cause and a remedy.
type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
Builds what cargo does not build by itself.

Usage: cargo run -p xtask -- web [--out FOLDER] [--cargo PROGRAM]

  web    the npm package `ecgpu`: the engine in WebAssembly, its JavaScript and its types

  --out FOLDER       where the package is put together [default: bindings/web/dist]
  --cargo PROGRAM    the cargo that compiles for WebAssembly [default: this one]

Examples:
  cargo run -p xtask -- web
  cargo run -p xtask -- web --out /tmp/ecgpu && npm pack /tmp/ecgpu";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| ["--help", "-h", "help"].contains(&argument.as_str())) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(options) = web::Options::of(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match web::build(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
