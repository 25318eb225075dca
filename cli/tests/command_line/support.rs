//! Running the program, and making what it reads.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use ecgpu::Recording;
use ecgpu::ecg::{Condition, Lead, format::Writer, synthesize};
use ecgpu_testing::npy;
use serde_json::Value;
use tempfile::TempDir;

/// What a run of the program printed, and its exit code.
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

/// Prepares a call of the program in the root of the repository.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecgpu"));
    command.args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env_remove("CLICOLOR_FORCE");
    // Unset as in a container. A layer of Mesa must not complain about it on standard error.
    command.env_remove("XDG_RUNTIME_DIR");
    command
}

/// Runs a prepared call. Fails where the program panics, or colours what it prints into a pipe.
pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8 alone is written");
    let outcome = Outcome {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code().expect("no signal ends the program"),
    };
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'), "a pipe gets no colours");
    outcome
}

/// Runs the program.
pub fn run(arguments: &[&str]) -> Outcome {
    outcome(&mut command(arguments))
}

/// Runs the program, which must succeed and print nothing to standard error. Returns its standard output.
pub fn printed(arguments: &[&str]) -> String {
    let Outcome { stdout, stderr, code } = run(arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    stdout
}

/// Parses one JSON object per line.
pub fn objects(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Returns the objects that `classify … --json` prints.
pub fn classified(arguments: &[&str]) -> Vec<Value> {
    objects(&printed(&[&["classify", "--json"], arguments].concat()))
}

/// Returns the numbers of a JSON array.
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().expect("a number that is finite")).collect()
}

/// Asserts that the logits of two lists of results differ by at most `tolerance`.
pub fn assert_same_logits(a: &[Value], b: &[Value], tolerance: f64) {
    assert!(!a.is_empty() && a.len() == b.len(), "{} and {} results", a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        let (x, y) = (numbers(&a["logits"]), numbers(&b["logits"]));
        assert_eq!((x.len(), y.len()), (5, 5));
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() <= tolerance), "{x:?} and {y:?}");
    }
}

/// Asserts that the outcome is the exit code `code` and one line `error: cause: remedy` on standard error, which
/// contains `part`.
pub fn assert_one_line(outcome: &Outcome, code: i32, part: &str) {
    let Outcome { stdout, stderr, .. } = outcome;
    assert_eq!((outcome.code, stdout.as_str()), (code, ""), "{stderr}");
    let lines = stderr.lines().count();
    assert!(
        lines == 1 && stderr.starts_with("error: ") && stderr.matches(": ").count() >= 2,
        "{lines} lines: {stderr}"
    );
    assert!(stderr.contains(part), "'{part}' is not in: {stderr}");
}

/// Asserts that the parser of the command line refuses the arguments with exit code 2.
pub fn assert_usage(arguments: &[&str], part: &str) {
    let Outcome { stdout, stderr, code } = run(arguments);
    assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
    assert!(stderr.starts_with("error: ") && stderr.contains(part), "{arguments:?}: {stderr}");
}

/// A temporary folder.
pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    /// Writes a file and returns its path.
    pub fn with(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), contents).unwrap();
        self.path(name)
    }

    /// Writes a recording as a WFDB record without the mark of a synthetic one, and returns its header.
    pub fn record(&self, name: &str, recording: &Recording) -> String {
        let path = self.path(name);
        let leads = recording.leads().map(|(lead, signal)| (lead, signal.to_vec())).collect();
        let unmarked = Recording::new(recording.name(), recording.sampling_rate(), leads).unwrap();
        Writer::of(Path::new(&path)).unwrap().write(&unmarked, Path::new(&path), &[]).unwrap();
        path
    }

    /// Writes a record, replaces `from` by `to` in its header and changes its samples. Returns its header.
    pub fn damaged_record(&self, from: &str, to: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let header = self.record("r.hea", &norm(100.0));
        let text = fs::read_to_string(&header).unwrap();
        assert!(text.contains(from), "'{from}' is not in {text}");
        fs::write(&header, text.replace(from, to)).unwrap();
        let mut samples = fs::read(self.path("r.dat")).unwrap();
        change(&mut samples);
        self.with("r.dat", samples);
        header
    }
}

/// Returns the path of a file of `tests/data`.
pub fn data(name: &str) -> String {
    format!("tests/data/{name}")
}

/// Synthesises a normal ECG of ten seconds.
pub fn norm(sampling_rate: f64) -> Recording {
    synthesize(Condition::Norm, 1, sampling_rate, 10.0).unwrap()
}

/// Builds a `.npy` file `[leads, samples]` of some leads of a recording, multiplied by `factor`.
pub fn array(recording: &Recording, leads: &[Lead], factor: f32) -> Vec<u8> {
    let values = leads.iter().flat_map(|&lead| recording.lead(lead).unwrap()).map(|x| x * factor);
    npy("<f4", &[leads.len(), recording.samples()], &values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
}

/// Builds a `.npy` file of zeros.
pub fn zeros(shape: &[usize]) -> Vec<u8> {
    npy("<f4", shape, &vec![0; 4 * shape.iter().product::<usize>()])
}

/// Builds a CSV table of leads with the same samples in each column.
pub fn table(leads: &[&str], samples: &[&str]) -> String {
    let rows: Vec<String> = samples.iter().map(|sample| vec![*sample; leads.len()].join(",")).collect();
    format!("{}\n{}\n", leads.join(","), rows.join("\n"))
}

/// Lists the names of the twelve leads.
pub fn names() -> Vec<&'static str> {
    Lead::STANDARD.iter().map(|lead| lead.name()).collect()
}
