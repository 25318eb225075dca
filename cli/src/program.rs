//! How this program starts itself, since the examination of drivers runs commands in processes of their own; and its file.

use std::{ffi::OsString, io, path::PathBuf, process::Command, sync::OnceLock};

/// What runs the commands.
#[derive(Debug, Clone)]
pub struct Program {
    /// What starts it again: its path, or an interpreter with its arguments.
    pub start: Vec<OsString>,
    /// The file with its code, by which two versions are told apart.
    pub file: PathBuf,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Sets the program. A second command of one process has the same.
pub fn set(program: Program) {
    PROGRAM.get_or_init(|| program);
}

/// Returns a command that starts this program.
pub fn command() -> Command {
    let start = PROGRAM.get().map_or(&[][..], |program| &program.start);
    let mut command = Command::new(start.first().map_or("ecgpu".as_ref(), OsString::as_os_str));
    command.args(start.get(1..).unwrap_or_default());
    command
}

/// Reads the file of the program.
///
/// # Errors
/// It was moved or deleted.
pub fn read() -> io::Result<Vec<u8>> {
    std::fs::read(PROGRAM.get().map(|program| program.file.clone()).unwrap_or_default())
}
