//! HDF5 files: data sets of many recordings, such as CODE-15, and single recordings, such as MATLAB 7.3 files.

mod contents;

use self::contents::{Contents, StoredArray};
use super::{
    Format, ReadOptions, Reading, Source,
    array::{self, Array, Choice, Description, Planes, Shaped},
    damaged, limits,
    pieces::{Pieces, Rows},
};
use crate::{Recording, Result};

/// The signature of a file, which may come after a block of the user: at 0, 512, 1024, and so on, doubling.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The most that is read at once, in bytes of samples: 512 MiB.
const LARGEST: u64 = 512 << 20;

/// Samples of a recording of CODE-15, with padding, and their rate in Hz (Ribeiro et al. 2021, Zenodo 4916206).
const CODE_15: (usize, f64) = (4096, 400.0);

/// HDF5 files.
pub(super) const FORMAT: Format = Format {
    name: "HDF5",
    extensions: &["hdf5", "h5"],
    companions: &[],
    recognises,
    plausible: None,
    reading: Reading::Pieces(open),
};

fn recognises(start: &[u8]) -> bool {
    let places = std::iter::once(0).chain((9..).map(|power| 1 << power));
    places.take_while(|at| *at < start.len()).any(|at| start[at..].starts_with(SIGNATURE))
}

/// Reads the recordings of a file. MATLAB 7.3 writes HDF5.
#[cfg(feature = "mat")]
pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    super::pieces::read_all(&Recordings::of(source, options)?, options)
}

fn open<'s>(source: Source<'s>, options: &ReadOptions) -> Result<Box<dyn Pieces + 's>> {
    Ok(Box::new(Recordings::of(&source, options)?))
}

/// The recordings of a file, each of which is read when it is asked for.
struct Recordings {
    stem: String,
    description: Description,
    place: Place,
}

/// Where the recordings of a file are.
enum Place {
    /// Along the first dimension of an array, which is read some rows at a time.
    Rows(StoredArray, Rows),
    /// In one array of a recording, or of several behind another dimension than the first.
    Whole(StoredArray),
    /// In arrays of one lead each.
    Leads(Vec<StoredArray>),
}

impl Recordings {
    /// Finds the recordings of a file.
    ///
    /// # Errors
    /// It is no HDF5 file, or none of its arrays is an ECG, or several may be.
    fn of(source: &Source, options: &ReadOptions) -> Result<Self> {
        let contents = Contents::of(source)?;
        let (held, has_exam_ids) = (contents.held, contents.has("exam_id"));
        let shaped: Vec<Shaped> = contents.arrays().iter().map(StoredArray::shaped).collect();
        let (place, description) = match array::choose(&shaped, options)? {
            Choice::One(at) => {
                let (array, mut description) = contents.take_one(at)?;
                if has_exam_ids && shaped[at].name == "tracings" {
                    describe_code_15(&array, &mut description);
                }
                let counted = array.shape.iter().filter(|side| **side != 1).count();
                let by_rows = counted == 3 && array.shape.first().is_some_and(|rows| *rows > 1);
                (if by_rows { Place::of_rows(array)? } else { Place::Whole(array) }, description)
            }
            Choice::Leads(positions) => {
                let name = |at: &usize| shaped[*at].name.rsplit('/').next().unwrap_or_default().to_string();
                let (arrays, mut description) = contents.take(&positions)?;
                description.leads = Some(positions.iter().map(name).collect());
                (Place::Leads(arrays), description)
            }
        };
        let recordings = Self { stem: source.stem(), description, place };
        let stored = recordings.stored();
        if stored > limits::plausible(held) {
            let cause = format!("{} MiB of samples in a file of {} KiB", stored >> 20, held >> 10);
            return Err(damaged(cause, "get the file again: its header is wrong"));
        }
        recordings.arrays().iter().try_for_each(|array| array.check_chunks(held))?;
        Ok(recordings)
    }

    /// Returns the arrays that hold the recordings.
    fn arrays(&self) -> &[StoredArray] {
        match &self.place {
            Place::Rows(array, _) | Place::Whole(array) => std::slice::from_ref(array),
            Place::Leads(arrays) => arrays,
        }
    }

    /// Returns the bytes of all samples in the file, decompressed.
    fn stored(&self) -> u64 {
        self.arrays().iter().map(StoredArray::bytes).fold(0, u64::saturating_add)
    }
}

impl Place {
    fn of_rows(array: StoredArray) -> Result<Self> {
        let rows = Rows::new(array.shape[0], array.rows_of_chunk()?, array.most_rows());
        Ok(Place::Rows(array, rows))
    }
}

impl Pieces for Recordings {
    fn len(&self) -> usize {
        match &self.place {
            Place::Rows(_, rows) => rows.pieces(),
            // A batch behind a first dimension of one is numbered when it is read.
            Place::Whole(_) | Place::Leads(_) => 1,
        }
    }

    fn recordings(&self, piece: usize) -> usize {
        if let Place::Rows(_, rows) = &self.place { rows.of(piece).len() } else { 1 }
    }

    fn bytes(&self) -> u64 {
        self.stored()
    }

    fn read(&self, piece: usize, options: &ReadOptions) -> Result<Vec<Result<Recording>>> {
        let description = &self.description;
        match &self.place {
            Place::Rows(stored, rows) => {
                let range = rows.of(piece);
                let arrays = stored.rows(range.clone())?;
                let recording = |(index, array): (usize, &Array)| {
                    let name = format!("{}[{index}]", self.stem);
                    let planes = Planes::of(array, description, options).map_err(|error| error.at(&name))?;
                    planes.recording(name.clone(), 0, description, options).map_err(|error| error.at(name))
                };
                Ok(range.zip(&arrays).map(recording).collect())
            }
            Place::Whole(stored) => {
                let recordings = array::recordings(&stored.whole()?, &self.stem, description, options)?;
                Ok(recordings.into_iter().map(Ok).collect())
            }
            Place::Leads(stored) => {
                let arrays = stored.iter().map(StoredArray::whole).collect::<Result<Vec<Array>>>()?;
                let arrays: Vec<&Array> = arrays.iter().collect();
                let one = array::recording_of_leads(self.stem.clone(), &arrays, description.clone(), options);
                Ok(vec![one])
            }
        }
    }
}

/// Adds what CODE-15 defines: its sampling rate. Its documents contradict each other on the unit, which stays open: the
/// numbers are taken as millivolts with the usual warning, and a scale that no ECG has is warned of.
fn describe_code_15(array: &StoredArray, description: &mut Description) {
    let (samples, rate) = CODE_15;
    if array.shape.get(1) == Some(&samples) && description.sampling_rate.is_none() {
        description.sampling_rate = Some(rate);
        description.warnings.push(format!("tracings of {samples} samples with exam_id: taken as CODE-15, {rate} Hz"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_may_come_after_a_block_of_the_user() {
        let at = |place: usize| recognises(&[&vec![b' '; place][..], SIGNATURE, b"..."].concat());
        assert!(at(0) && at(512) && at(1024) && at(2048));
        assert!(!at(1) && !at(100) && !at(768) && !recognises(b""));
    }
}
