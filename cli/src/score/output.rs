//! The results of a run: scores as Parquet or CSV, errors as CSV.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{
    RecordBatch,
    builder::{Float32Builder, Float64Builder, ListBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field, Schema};
use ecgpu::{
    Error, ErrorKind, Result,
    engine::files::{self, PartialFile},
};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{metadata::KeyValue, properties::WriterProperties},
};

use super::journal::{Conditions, Entry, Outcome, Score};

/// Rows that are collected before they are written.
const ROWS: usize = 4096;

/// Rows of a row group of Parquet, which is held in memory: some 20 MB.
const ROW_GROUP: usize = 65_536;

/// A file format of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
}

impl Format {
    /// Returns the format that the extension of a path stands for.
    ///
    /// # Errors
    /// It stands for none.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            _ => {
                let cause = format!("{}: scores are written as .parquet or .csv", path.display());
                Err(Error::new(ErrorKind::Usage, cause, "choose a name that ends in one of them"))
            }
        }
    }
}

/// Returns the files that a run writes: scores, errors, and what a CSV file cannot hold of itself.
pub fn files(out: &Path, errors: &Path) -> Result<Vec<PathBuf>> {
    let metadata = (Format::of(out)? == Format::Csv).then(|| metadata_path(out));
    Ok([out.to_path_buf(), errors.to_path_buf()].into_iter().chain(metadata).collect())
}

fn metadata_path(out: &Path) -> PathBuf {
    out.with_extension("metadata.json")
}

/// Writes all results. Each file is replaced atomically, the scores last.
///
/// # Errors
/// A file cannot be written, or the results cannot be read.
pub fn write(
    out: &Path,
    errors_path: &Path,
    conditions: &Conditions,
    entries: impl Iterator<Item = Result<Entry>>,
) -> Result<()> {
    let mut scores = Scores::begin(out, conditions)?;
    let mut errors = Csv::begin(errors_path, &["source", "record", "cause", "remedy"].map(String::from))?;
    for entry in entries {
        let Entry { source, record, outcome } = entry?;
        match outcome {
            Outcome::Score(score) => scores.add(source, record, score)?,
            Outcome::Error { cause, remedy } => errors.row(&[source, record, cause, remedy])?,
        }
    }
    errors.finish()?;
    scores.finish(conditions)
}

/// A file of scores that is being written.
enum Scores {
    Parquet(Box<Parquet>),
    Csv(Box<Csv>),
}

impl Scores {
    fn begin(path: &Path, conditions: &Conditions) -> Result<Self> {
        Ok(match Format::of(path)? {
            Format::Parquet => Self::Parquet(Box::new(Parquet::begin(path, conditions)?)),
            Format::Csv => {
                let names: Vec<String> =
                    schema(&conditions.classes).fields().iter().map(|field| field.name().clone()).collect();
                Self::Csv(Box::new(Csv::begin(path, &names)?))
            }
        })
    }

    fn add(&mut self, source: String, record: String, score: Score) -> Result<()> {
        match self {
            Self::Parquet(file) => file.add(&source, &record, &score),
            Self::Csv(file) => {
                let Score { sampling_rate_hz, duration_s, probabilities, logits, labels, warnings } = score;
                let mut row = vec![source, record, sampling_rate_hz.to_string(), duration_s.to_string()];
                row.extend(probabilities.iter().map(f64::to_string));
                row.extend(logits.iter().map(f32::to_string));
                row.extend([labels.join("; "), warnings.join("; ")]);
                file.row(&row)
            }
        }
    }

    fn finish(self, conditions: &Conditions) -> Result<()> {
        match self {
            Self::Parquet(file) => file.finish(),
            Self::Csv(file) => {
                let text = serde_json::to_string_pretty(conditions).expect("every key is a string");
                files::write(&metadata_path(&file.path), format!("{text}\n").as_bytes())?;
                file.finish()
            }
        }
    }
}

/// Returns the columns of a file of scores.
fn schema(classes: &[String]) -> Schema {
    let texts = || DataType::new_list(DataType::Utf8, false);
    let mut fields = vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("record", DataType::Utf8, false),
        Field::new("sampling_rate_hz", DataType::Float64, false),
        Field::new("duration_s", DataType::Float64, false),
    ];
    fields.extend(classes.iter().map(|class| Field::new(format!("probability_{class}"), DataType::Float64, false)));
    fields.extend(classes.iter().map(|class| Field::new(format!("logit_{class}"), DataType::Float32, false)));
    fields.extend([Field::new("labels", texts(), false), Field::new("warnings", texts(), false)]);
    Schema::new(fields)
}

/// A Parquet file that is being written.
struct Parquet {
    path: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<PartialFile>,
    rows: Rows,
}

/// Rows that are not written yet, by columns.
struct Rows {
    count: usize,
    texts: [StringBuilder; 2],
    times: [Float64Builder; 2],
    probabilities: Vec<Float64Builder>,
    logits: Vec<Float32Builder>,
    lists: [ListBuilder<StringBuilder>; 2],
}

impl Parquet {
    fn begin(path: &Path, conditions: &Conditions) -> Result<Self> {
        let schema = Arc::new(schema(&conditions.classes));
        let metadata = conditions.metadata().map(|(key, value)| KeyValue::new(format!("ecgpu.{key}"), value));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .set_key_value_metadata(Some(metadata.collect()))
            .build();
        let file = PartialFile::create(path).map_err(|error| Error::file(path, error))?;
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties));
        let writer = writer.map_err(|error| unwritable(path, &error))?;
        let classes = conditions.classes.len();
        let list = || ListBuilder::new(StringBuilder::new()).with_field(Field::new_list_field(DataType::Utf8, false));
        let rows = Rows {
            count: 0,
            texts: Default::default(),
            times: Default::default(),
            probabilities: (0..classes).map(|_| Float64Builder::new()).collect(),
            logits: (0..classes).map(|_| Float32Builder::new()).collect(),
            lists: [list(), list()],
        };
        Ok(Self { path: path.into(), schema, writer, rows })
    }

    fn add(&mut self, source: &str, record: &str, score: &Score) -> Result<()> {
        let rows = &mut self.rows;
        rows.texts.iter_mut().zip([source, record]).for_each(|(column, text)| column.append_value(text));
        let times = [score.sampling_rate_hz, score.duration_s];
        rows.times.iter_mut().zip(times).for_each(|(column, time)| column.append_value(time));
        rows.probabilities.iter_mut().zip(&score.probabilities).for_each(|(column, p)| column.append_value(*p));
        rows.logits.iter_mut().zip(&score.logits).for_each(|(column, logit)| column.append_value(*logit));
        for (column, texts) in rows.lists.iter_mut().zip([&score.labels, &score.warnings]) {
            texts.iter().for_each(|text| column.values().append_value(text));
            column.append(true);
        }
        rows.count += 1;
        if rows.count == ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let rows = &mut self.rows;
        let mut columns: Vec<arrow_array::ArrayRef> = Vec::new();
        columns.extend(rows.texts.iter_mut().map(|column| Arc::new(column.finish()) as _));
        columns.extend(rows.times.iter_mut().map(|column| Arc::new(column.finish()) as _));
        columns.extend(rows.probabilities.iter_mut().map(|column| Arc::new(column.finish()) as _));
        columns.extend(rows.logits.iter_mut().map(|column| Arc::new(column.finish()) as _));
        columns.extend(rows.lists.iter_mut().map(|column| Arc::new(column.finish()) as _));
        rows.count = 0;
        let batch =
            RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| unwritable(&self.path, &error))?;
        self.writer.write(&batch).map_err(|error| unwritable(&self.path, &error))
    }

    fn finish(mut self) -> Result<()> {
        self.flush()?;
        let file = self.writer.into_inner().map_err(|error| unwritable(&self.path, &error))?;
        file.publish().map_err(|error| Error::file(&self.path, error))
    }
}

/// A CSV file that is being written.
struct Csv {
    path: PathBuf,
    writer: csv::Writer<PartialFile>,
}

impl Csv {
    fn begin(path: &Path, names: &[String]) -> Result<Self> {
        let file = PartialFile::create(path).map_err(|error| Error::file(path, error))?;
        let mut csv = Self { path: path.into(), writer: csv::Writer::from_writer(file) };
        csv.row(names)?;
        Ok(csv)
    }

    fn row(&mut self, cells: &[String]) -> Result<()> {
        self.writer.write_record(cells).map_err(|error| unwritable(&self.path, &error))
    }

    fn finish(self) -> Result<()> {
        let failed = |error: std::io::Error| Error::file(&self.path, error);
        let mut file = self.writer.into_inner().map_err(|error| failed(error.into_error()))?;
        file.flush().map_err(failed)?;
        file.publish().map_err(failed)
    }
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let cause = format!("{}: {error}", path.display());
    Error::new(ErrorKind::File, cause, "make room on its disk, then go on with the run").with_hint(ecgpu::Hint::Resume)
}
