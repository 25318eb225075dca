//! `ecgpu download`: PTB-XL from PhysioNet.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use ecgpu::{
    Result,
    dataset::{
        SamplingRate,
        download::{Event, Options, PHYSIONET, ptb_xl},
    },
};
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    SUCCESS,
    terminal::{GOOD, clean, note, print},
};

/// Download PTB-XL 1.0.3 from PhysioNet: about 550 MB at 100 Hz, 2.7 GB at 500 Hz
///
/// Every file is compared with its published checksum. An interrupted download continues when the command is run again. PTB-XL: Wagner et al. 2020, doi 10.1038/s41597-020-0495-6, CC BY 4.0.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu download ptb-xl data/ptb-xl
  ecgpu download ptb-xl data/ptb-xl --sampling-rate 500 --connections 8")]
pub struct Arguments {
    /// What to download
    #[arg(value_enum)]
    source: Source,
    /// The folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Which copy of the signals: 100 or 500 Hz
    #[arg(long, default_value = "100", value_name = "HZ")]
    sampling_rate: SamplingRate,
    /// Address of the folder that contains SHA256SUMS.txt, such as a mirror
    #[arg(long, default_value = PHYSIONET)]
    url: String,
    /// Files to download at once
    #[arg(long, default_value_t = 4, value_name = "N")]
    connections: usize,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Source {
    PtbXl,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Source::PtbXl = arguments.source;
    let Arguments { sampling_rate, connections, .. } = *arguments;
    let options = Options { url: arguments.url.clone(), sampling_rate, connections, ..Options::default() };
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let (received, start) = (AtomicU64::new(0), Instant::now());
    let done = ptb_xl(&arguments.folder, &options, &|event| show(&bar, event, &received, start));
    bar.finish_and_clear();
    let done = done?;
    print(&format!(
        "{GOOD}PTB-XL 1.0.3 at {sampling_rate} is complete{GOOD:#} in {}: {} files fetched ({}), {} there already, every \
         checksum right\n",
        clean(&arguments.folder.display().to_string()),
        done.fetched,
        DecimalBytes(received.into_inner()),
        done.present
    ));
    Ok(SUCCESS)
}

fn show(bar: &ProgressBar, event: Event<'_>, received: &AtomicU64, start: Instant) {
    match event {
        Event::Checked { files, of } => at(bar, files, of, "{bar:32} {pos}/{len} files compared"),
        Event::Fetched { files, of } => at(bar, files, of, "{bar:32} {pos}/{len} files, {msg}, {eta} left"),
        Event::Received(bytes) => {
            let bytes = received.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
            let speed = bytes as f64 / start.elapsed().as_secs_f64().max(1e-3);
            bar.set_message(format!("{}, {}/s", DecimalBytes(bytes), DecimalBytes(speed as u64)));
        }
        Event::Waiting { error, pause } => {
            let text = format!("{}; trying again in {:.0} s", error.cause(), pause.as_secs_f64());
            bar.suspend(|| note(&text));
        }
        _ => (),
    }
}

/// Moves the progress bar. At the beginning of a phase the bar takes the style of the phase and restarts its clock.
fn at(bar: &ProgressBar, files: usize, of: usize, template: &str) {
    if bar.length() != Some(of as u64) || files == 0 {
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_length(of as u64);
        bar.reset_elapsed();
        bar.reset_eta();
    }
    bar.set_position(files as u64);
}
