//! The files of a run, one after the other: those of folders, single files, and the rows of a manifest.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use ecgpu::{
    Error, ErrorKind, Piece, Result,
    ecg::{
        Lead,
        format::{self, Entry, ReadOptions, Reader},
    },
};

use super::position::{Passed, Position, Stopped};

/// Part `part`, counted from 1, of `of` parts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub part: u64,
    pub of: u64,
}

impl FromStr for Shard {
    type Err = Error;

    /// Reads `3/16`.
    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Self { part, of }),
            _ => {
                let cause = format!("'{text}' is no shard");
                Err(Error::new(ErrorKind::Usage, cause, "write it as 3/16: from 1/16 to 16/16"))
            }
        }
    }
}

impl Shard {
    /// Whether a piece belongs to this part. Neighbours belong to different parts, so that each part has about as much of
    /// every folder and of every file of many pieces.
    fn has(self, Position { file, piece }: Position) -> bool {
        file.wrapping_add(piece as u64) % self.of == self.part - 1
    }
}

/// What a run reads.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// A table of files.
    pub manifest: Option<PathBuf>,
    /// What files do not say.
    pub options: ReadOptions,
    pub shard: Shard,
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { paths, manifest, options, shard } = self;
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        write!(f, "{}", paths.join(" "))?;
        let stated = [
            manifest.as_ref().map(|path| format!("manifest {}", path.display())),
            options.sampling_rate.map(|rate| format!("sampling rate {rate} Hz")),
            options.unit.map(|unit| format!("unit {unit}")),
            options.leads.as_ref().map(|leads| format!("leads {}", names(leads))),
            (shard.of > 1).then(|| format!("shard {}/{}", shard.part, shard.of)),
        ];
        stated.into_iter().flatten().try_for_each(|text| write!(f, ", {text}"))
    }
}

fn names(leads: &[Lead]) -> String {
    leads.iter().map(Lead::to_string).collect::<Vec<_>>().join(" ")
}

/// What a run finds among its sources.
pub enum Found {
    /// Something to score.
    Piece(Tag, Result<Piece>),
    /// A file that holds no ECG.
    Skipped(PathBuf),
    /// What its user should know of a file.
    Note(String),
    /// The files are no longer those of the run that is continued.
    Changed,
}

/// Where a piece is, and its name where it has no file.
#[derive(Debug, Clone)]
pub struct Tag {
    pub position: Position,
    /// The files up to and including its own.
    pub passed: Passed,
    pub name: String,
}

/// A file, or why there is none.
enum Listed {
    File(PathBuf, ReadOptions),
    Skipped(PathBuf),
    /// A folder or a line that cannot be read, and its name.
    Failed(String, Error),
}

impl Sources {
    /// Iterates over all pieces of this part in order, from where a run stopped.
    ///
    /// # Errors
    /// A source does not exist, or the manifest cannot be read. What turns out later is given as an error in its place.
    pub fn pieces(&self, stopped: Stopped) -> Result<impl Iterator<Item = Found> + Send + '_> {
        let listed = Numbered { listed: self.list()?, passed: Passed::default(), stopped: stopped.passed };
        Ok(listed.flat_map(move |next| match next {
            None => one(Found::Changed),
            Some((Listed::Skipped(path), passed)) if passed.files >= stopped.passed.files => one(Found::Skipped(path)),
            Some((Listed::Skipped(_), _)) => none(),
            Some((listed, passed)) => self.of_file(listed, passed, stopped.next),
        }))
    }

    /// Returns the pieces of a file, from `first` on, that belong to this part.
    fn of_file(&self, listed: Listed, passed: Passed, first: Position) -> Box<dyn Iterator<Item = Found> + Send + '_> {
        let file = passed.files - 1;
        let begin = Position { file, piece: 0 };
        let wanted = move |position: Position| position >= first && self.shard.has(position);
        let name = listed.name().to_string();
        let opened = match listed {
            // A file of one piece is not opened for the other parts.
            Listed::File(path, _) if !wanted(begin) && (file < first.file || !Reader::may_have_pieces(&path)) => {
                return none();
            }
            Listed::File(path, options) => Reader::open(&path, &options),
            Listed::Failed(_, error) => Err(error),
            Listed::Skipped(_) => return none(),
        };
        let tag = move |piece, name: String| Tag { position: Position { file, piece }, passed, name };
        match opened {
            Ok(reader) => {
                let note = reader.note().filter(|_| wanted(begin)).map(|note| Found::Note(format!("{name}: {note}")));
                let pieces = Piece::all(reader).filter(move |piece| wanted(Position { file, piece: piece.index }));
                let pieces = pieces.map(move |piece| Found::Piece(tag(piece.index, piece.name()), Ok(piece)));
                Box::new(note.into_iter().chain(pieces))
            }
            Err(error) if wanted(begin) => one(Found::Piece(tag(0, name), Err(error))),
            Err(_) => none(),
        }
    }

    /// Lists all files.
    fn list(&self) -> Result<impl Iterator<Item = Listed> + Send + '_> {
        // Every source is opened before the first is read, so that a typing error is found at once.
        let walk = |path: &'_ PathBuf| Ok((path.clone(), format::walk(path, &self.options)?));
        let walks = self.paths.iter().map(walk).collect::<Result<Vec<_>>>()?;
        let rows = self.manifest.as_ref().map(|path| manifest(path, &self.options)).transpose()?;
        let listed = |folder: PathBuf, entry: Result<Entry>| match entry {
            Ok(Entry::Skipped(path)) => Listed::Skipped(path),
            Ok(Entry::File(path)) => Listed::File(path, self.options.clone()),
            Err(error) => Listed::Failed(folder.display().to_string(), error),
        };
        let walked = walks.into_iter().flat_map(move |(path, walk)| walk.map(move |entry| listed(path.clone(), entry)));
        Ok(walked.chain(rows.into_iter().flatten()))
    }
}

impl Listed {
    fn name(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Listed::File(path, _) | Listed::Skipped(path) => path.to_string_lossy(),
            Listed::Failed(name, _) => name.into(),
        }
    }
}

fn one<'a>(found: Found) -> Box<dyn Iterator<Item = Found> + Send + 'a> {
    Box::new(std::iter::once(found))
}

fn none<'a>() -> Box<dyn Iterator<Item = Found> + Send + 'a> {
    Box::new(std::iter::empty())
}

/// Counts files, and compares those that a run had passed when it stopped.
struct Numbered<I> {
    listed: I,
    passed: Passed,
    stopped: Passed,
}

impl<I: Iterator<Item = Listed>> Iterator for Numbered<I> {
    /// A file, and those up to and including it; none if they are not those of the run.
    type Item = Option<(Listed, Passed)>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(listed) = self.listed.next() else {
            let fewer = self.passed.files < self.stopped.files;
            // Said once.
            self.stopped = self.passed;
            return fewer.then_some(None);
        };
        if !matches!(listed, Listed::Skipped(_)) {
            self.passed.add(listed.name());
            if self.passed.files == self.stopped.files && self.passed != self.stopped {
                return Some(None);
            }
        }
        Some(Some((listed, self.passed)))
    }
}

/// Reads a manifest: a table with the column `path`, and optionally `sampling_rate`, `unit` and `leads` of each file. Paths
/// are relative to the manifest's folder. A line that makes no sense is given as an error in its place.
///
/// # Errors
/// The table cannot be read, or has no column `path`.
fn manifest<'o>(path: &Path, options: &'o ReadOptions) -> Result<impl Iterator<Item = Listed> + Send + use<'o>> {
    let failed = |error: csv::Error| {
        let cause = format!("{}: {error}", path.display());
        Error::new(ErrorKind::File, cause, "give a table with the column path").with_source(error)
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(failed)?;
    let names = reader.headers().map_err(failed)?.clone();
    let column = |name: &str| names.iter().position(|other| other.eq_ignore_ascii_case(name));
    let Some(files) = column("path") else {
        let cause = format!("{}: no column path among {}", path.display(), names.iter().collect::<Vec<_>>().join(", "));
        return Err(Error::new(ErrorKind::File, cause, "name the column of the files path"));
    };
    let columns = Columns { files, rates: column("sampling_rate"), units: column("unit"), leads: column("leads") };
    let (folder, name) = (path.parent().unwrap_or(Path::new("")).to_path_buf(), path.display().to_string());
    Ok(reader.into_records().map(move |row| {
        let line = match &row {
            Ok(row) => row.position().map_or(0, csv::Position::line),
            Err(error) => error.position().map_or(0, csv::Position::line),
        };
        let correct = |cause: String| Error::new(ErrorKind::File, cause, "correct the line");
        let place = format!("{name}, line {line}");
        let file = row.map_err(|error| correct(error.to_string())).and_then(|row| columns.of(&row, options));
        match file {
            Ok((file, options)) => Listed::File(folder.join(file), options),
            Err(error) => Listed::Failed(place.clone(), error.at(place)),
        }
    }))
}

/// The positions of a manifest's columns.
struct Columns {
    files: usize,
    rates: Option<usize>,
    units: Option<usize>,
    leads: Option<usize>,
}

impl Columns {
    /// Returns the file of a row, and the options with which it is read.
    fn of(&self, row: &csv::StringRecord, options: &ReadOptions) -> Result<(PathBuf, ReadOptions)> {
        let cell = |column: Option<usize>| column.and_then(|column| row.get(column)).filter(|cell| !cell.is_empty());
        let mut options = options.clone();
        options.sampling_rate = parse(cell(self.rates), "sampling rate")?.or(options.sampling_rate);
        options.unit = parse(cell(self.units), "unit")?.or(options.unit);
        if let Some(text) = cell(self.leads) {
            let names = text.split([' ', ';', ',']).filter(|name| !name.is_empty());
            let leads = names.map(|name| parse(Some(name), "lead")).collect::<Result<Option<Vec<_>>>>()?;
            options.leads = leads;
        }
        options.check()?;
        let file = cell(Some(self.files)).ok_or_else(|| wrong("an empty path".into()))?;
        Ok((file.into(), options))
    }
}

/// Parses a cell of a manifest.
fn parse<T: FromStr>(cell: Option<&str>, what: &str) -> Result<Option<T>> {
    cell.map(|text| text.parse().map_err(|_| wrong(format!("'{text}' is no {what}")))).transpose()
}

fn wrong(cause: String) -> Error {
    Error::new(ErrorKind::File, cause, "correct the line")
}
