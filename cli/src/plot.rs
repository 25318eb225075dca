//! `ecgpu plot`: draws an ECG on paper.

use std::path::{Path, PathBuf};

use ecgpu::{
    Error, ErrorKind, Result,
    ecg::{format, quality},
    engine::files,
    plot::{self, Svg},
};

use crate::{
    SUCCESS, check_free,
    input::{self, Stated},
    terminal::{clean, print, warn},
};

/// Draw an ECG on paper of 25 mm/s and 10 mm/mV, as SVG or PNG
///
/// Ten seconds on a sheet of A4 in its true size: three rows of four leads, 2.5 s each, and lead II below them. The
/// samples are drawn unfiltered, each lead without its DC offset. Derived and interpolated leads have an asterisk, and
/// what passes 3 mV is cut off and named.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu plot record.hea --out ecg.svg
  ecgpu plot record.hea --out ecg.png --dpi 300
  ecgpu plot holter.hea --start 42.5 --out ecg.png
  ecgpu plot ecgs.npy --sampling-rate 500 --unit uV --record 3 --out ecg.svg")]
pub struct Arguments {
    #[arg(value_name = "FILE", help = format!("The recording, a file of {}", format::names()))]
    file: PathBuf,
    /// The drawing
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    out: PathBuf,
    /// Where the ten seconds begin, in seconds
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", allow_negative_numbers = true)]
    start: f64,
    /// Which recording of a file of several, counted from 0
    #[arg(long, value_name = "N")]
    record: Option<usize>,
    /// Dots per inch of a PNG image. At the default a millimetre is ten pixels
    #[arg(long, value_name = "DPI", value_parser = clap::value_parser!(u32).range(25..=1200))]
    dpi: Option<u32>,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    stated: Stated,
}

/// Dots per inch unless others are given.
const DPI: u32 = 254;

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { file, out, start, .. } = arguments;
    let image = Image::of(out, arguments.dpi)?;
    check_free(&[out], arguments.force)?;
    let recordings = input::read(file, &arguments.stated.options()?)?;
    let recording = input::one(recordings, file, arguments.record, "; --record chooses another")?;
    recording.warnings().iter().chain(&quality::warnings(&recording)).for_each(|text| warn(text));
    let drawing = plot::ecg(&recording, *start).map_err(|error| error.at(file.display()))?;
    files::write(out, &image.bytes(drawing)?)?;
    let (name, rate) = (clean(recording.name()), recording.sampling_rate());
    print(&format!("{}: {name}, {:.1} s at {rate} Hz\n", out.display(), recording.duration()));
    Ok(SUCCESS)
}

/// What is written.
pub enum Image {
    /// SVG text.
    Svg,
    /// A PNG image.
    Png { dpi: u32 },
}

impl Image {
    /// Returns the kind of image that a path's extension stands for.
    pub fn of(path: &Path, dpi: Option<u32>) -> Result<Self> {
        let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        match path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).as_deref() {
            Some("svg") if dpi.is_some() => {
                usage("--dpi has no meaning for SVG".into(), "leave it out, or draw a .png file")
            }
            Some("svg") => Ok(Image::Svg),
            Some("png") => Ok(Image::Png { dpi: dpi.unwrap_or(DPI) }),
            _ => usage(format!("{} ends in neither .svg nor .png", path.display()), "name a drawing such as ecg.svg"),
        }
    }

    /// Returns the bytes of a drawing.
    pub fn bytes(&self, drawing: Svg) -> Result<Vec<u8>> {
        match self {
            Image::Svg => Ok(drawing.finish().into_bytes()),
            Image::Png { dpi } => drawing.png(f64::from(*dpi)),
        }
    }
}
