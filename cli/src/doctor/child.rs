//! Runs a command of this program in a process of its own, with a time limit: a driver that crashes or hangs ends the child
//! and not the examination.

use std::{
    io::Read,
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use ecgpu::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::program;

/// How often a child is looked at.
const PERIOD: Duration = Duration::from_millis(10);
/// How long to wait for a child that was killed, and for the rest of its output. A process inside a driver's system call may
/// outlive its kill; it is left behind then.
const GRACE: Duration = Duration::from_secs(2);
/// The most bytes that are kept of each output.
const LARGEST_OUTPUT: u64 = 4 << 20;

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code.
    Code(i32),
    /// By a signal, or by an exception of Windows.
    Crash(String),
    /// It was killed after the time limit.
    Timeout,
}

/// What a child printed, and how it ended.
#[derive(Debug)]
pub struct Finished {
    pub ending: Ending,
    /// The JSON objects on standard output.
    pub objects: Vec<Value>,
    /// The last error message, without its label; empty if there is none.
    pub error: String,
    pub time: Duration,
}

/// Runs this program with arguments and additional environment variables, for as long as the limit allows.
///
/// # Errors
/// The process cannot be started.
pub fn run(arguments: &[String], variables: &[(String, String)], limit: Duration) -> Result<Finished> {
    let start = Instant::now();
    let mut command = program::command();
    command.args(arguments).envs(variables.iter().cloned()).env_remove("ECGPU_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        let cause = format!("the program cannot start itself: {error}");
        Error::new(ErrorKind::Device, cause, "run the commands that the report names one by one").with_source(error)
    })?;
    let output = child.stdout.take().map(collect);
    let errors = child.stderr.take().map(collect);
    let ending = wait(&mut child, limit).map_or(Ending::Timeout, |status| ending_of(&status));
    let [output, errors] =
        [output, errors].map(|text| text.and_then(|text| text.recv_timeout(GRACE).ok()).unwrap_or_default());
    Ok(Finished {
        ending,
        objects: output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        error: errors.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default().to_string(),
        time: start.elapsed(),
    })
}

/// Reads all output of a child on a thread of its own, so that a full pipe never stops the child.
fn collect(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.by_ref().take(LARGEST_OUTPUT).read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        let _ = std::io::copy(&mut from, &mut std::io::sink());
    });
    receiver
}

/// Waits for a child. Returns none if it did not end within the limit; it has been killed then.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let ends_within = |child: &mut Child, limit: Duration| {
        let start = Instant::now();
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            if start.elapsed() >= limit {
                return None;
            }
            std::thread::sleep(PERIOD);
        }
    };
    let ended = ends_within(child, limit);
    if ended.is_none() {
        let _ = child.kill();
        ends_within(child, GRACE);
    }
    ended
}

#[cfg(unix)]
fn ending_of(status: &ExitStatus) -> Ending {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal().unwrap_or_default();
    status.code().map_or_else(|| Ending::Crash(format!("signal {signal}")), Ending::Code)
}

#[cfg(not(unix))]
fn ending_of(status: &ExitStatus) -> Ending {
    // Windows ends a process by an exception with a status such as 0xC0000005.
    match status.code() {
        Some(code @ 0..=255) => Ending::Code(code),
        code => Ending::Crash(format!("exception {:#x}", code.unwrap_or_default())),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn finished(script: &str, limit: Duration) -> Option<Ending> {
        let mut child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
        wait(&mut child, limit).map(|status| ending_of(&status))
    }

    #[test]
    fn a_child_ends_by_itself_by_a_signal_or_by_the_limit() {
        let second = Duration::from_secs(1);
        assert_eq!(finished("exit 3", 30 * second), Some(Ending::Code(3)));
        assert_eq!(finished("kill -SEGV $$", 30 * second), Some(Ending::Crash("signal 11".into())));
        let start = Instant::now();
        assert_eq!(finished("exec sleep 60", second / 10), None);
        assert!(start.elapsed() < 10 * second);
    }
}
