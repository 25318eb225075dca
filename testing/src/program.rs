//! The command line as a process.

use std::process::{Command, Stdio};

/// The program under test, which its package's tests know by `env!("CARGO_BIN_EXE_ecgpu")`.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    path: &'static str,
    options: &'static [&'static str],
}

impl Program {
    /// Names the program, and options that every call ends with.
    pub const fn new(path: &'static str, options: &'static [&'static str]) -> Self {
        Self { path, options }
    }

    /// Prepares a call that reads nothing from standard input.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path);
        command.args(arguments).args(self.options).stdin(Stdio::null());
        command
    }

    /// Runs the program, which must not panic. Returns its exit code, standard output and standard error.
    pub fn outcome(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(!error.contains("panicked"), "{error}");
        (output.status.code().unwrap(), out, error)
    }

    /// Runs the program, which must succeed. Returns its standard output and standard error.
    pub fn succeeds(&self, arguments: &[&str]) -> (String, String) {
        let (code, out, error) = self.outcome(arguments);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        (out, error)
    }

    /// Runs the program, which must end with this exit code and with an error that contains `named`: in one line, unless the
    /// exit code is 2, where the parser of the command line adds its usage.
    pub fn fails(&self, arguments: &[&str], code: i32, named: &str) {
        let (found, out, error) = self.outcome(arguments);
        let right = found == code && error.contains(named);
        assert!(right, "{arguments:?}: exit code {found}, {out}{error}instead of {named}");
        assert!(error.starts_with("error: ") && error.trim_end().lines().count() == 1 || code == 2, "{error}");
    }
}
