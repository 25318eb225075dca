//! The program `ecgpu`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let file = std::env::current_exe().unwrap_or_else(|_| "ecgpu".into());
    let program = ecgpu_cli::Program { start: vec![file.clone().into()], file };
    ExitCode::from(ecgpu_cli::run(program, std::env::args_os().skip(1)))
}
