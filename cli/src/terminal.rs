//! Output for a person: colours on a terminal, plain text in a pipe.

use std::{
    borrow::Cow,
    io::{ErrorKind::BrokenPipe, Write},
};

use anstyle::{AnsiColor, Style};
use ecgpu::{Error, ErrorKind, engine::text::is_deceptive};

use crate::hint;

/// Style of headings and labels.
pub const STRONG: Style = Style::new().bold();
/// Style of secondary text.
pub const FAINT: Style = Style::new().dimmed();
/// Style of what passed, and of a class that is given as a label.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Style of warnings.
pub const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// Style of errors and of what failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// Characters of a full bar.
const BAR: usize = 32;

/// Escapes text from a file, so that it cannot move the cursor or imitate a line of the program.
pub use ecgpu::engine::text::escaped as clean;

/// Escapes what is deceptive in a text for standard output, except its lines and colours. The escapes are those of JSON, which
/// a text may be; JSON itself leaves these characters as they are.
fn shown(text: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c.is_ascii() && c != '\u{7f}' || !is_deceptive(c);
    if text.chars().all(is_kept) {
        return text.into();
    }
    let escape = |c: char| if is_kept(c) { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    text.chars().map(escape).collect::<String>().into()
}

/// Writes to standard output. If that fails, the program ends: silently if the reader, such as `head`, has closed the pipe.
pub fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    if let Err(error) = out.write_all(shown(text).as_bytes()).and_then(|()| out.flush()) {
        if error.kind() != BrokenPipe {
            let cause = format!("standard output cannot be written: {error}");
            report(&Error::new(ErrorKind::File, cause, "make room on its disk, or write to another file"));
        }
        leave(1);
    }
}

/// Ends the program at once. What was printed has been flushed.
///
/// A GPU's driver may still be loading or compiling on its own thread. Waiting for it would take up to a second, and a
/// normal exit runs the driver's exit handlers at the same time, in which Mesa was seen to hang and to crash.
pub fn leave(code: u8) -> ! {
    #[cfg(unix)]
    {
        unsafe extern "C" {
            fn _exit(status: std::ffi::c_int) -> !;
        }
        // SAFETY: the C library's `_exit` takes any number and touches no memory of this program.
        unsafe { _exit(code.into()) }
    }
    // Other systems end all other threads before they run exit handlers.
    #[cfg(not(unix))]
    std::process::exit(code.into())
}

/// Writes an error to standard error, with the flag that follows its hint. A closed standard error is ignored.
pub fn report(error: &Error) {
    let flag = error.hint().and_then(hint::flag).map(|flag| format!(" ({flag})")).unwrap_or_default();
    let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {error}{flag}");
}

/// Writes a note to standard error.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{DOUBTFUL}note:{DOUBTFUL:#} {}", clean(text));
}

/// Writes a warning about a recording to standard error.
pub fn warn(text: &str) {
    let _ = writeln!(anstream::stderr(), "{DOUBTFUL}warning:{DOUBTFUL:#} {}", clean(text));
}

/// Draws a horizontal bar for a share between 0 and 1, in eighths of a character.
pub fn bar(part: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let drawn = format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8]);
    format!("{drawn:BAR$}")
}

/// Formats a time in milliseconds or seconds, with three significant digits.
pub fn duration(time: std::time::Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.1 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}

/// Formats rows under a heading. Each column is as wide as its widest cell, with two spaces between columns. Cells carry
/// no colour.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let wide = |text: &str| text.chars().count();
    let column_width = |at: usize| rows.iter().map(|row| wide(&row[at])).chain([wide(heading[at])]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(column_width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_string()
    };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(heading.to_vec())).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_keeps_its_width_whatever_it_shows() {
        for part in [-1.0, 0.0, 0.01, 0.5, 0.999, 1.0, 7.0] {
            assert_eq!(bar(part).chars().count(), BAR, "{part}");
        }
        assert!(bar(0.5).starts_with(&"█".repeat(16)) && bar(0.5).ends_with(&" ".repeat(16)));
    }

    #[test]
    fn json_on_a_terminal_cannot_deceive_and_means_the_same() {
        let name = "M\u{fc}ller\u{202e}\u{9b}\u{7f}\u{1b}";
        let line = serde_json::json!({ "source": name }).to_string() + "\n";
        assert_eq!(shown(&line), "{\"source\":\"M\u{fc}ller\\u202e\\u009b\\u007f\\u001b\"}\n");
        let read: serde_json::Value = serde_json::from_str(&shown(&line)).unwrap();
        assert_eq!(read["source"], name);
        assert_eq!(shown("\u{1b}[1mbold\u{1b}[0m\n"), "\u{1b}[1mbold\u{1b}[0m\n", "colours stay");
    }

    #[test]
    fn a_table_lines_its_columns_up() {
        let rows = vec![vec!["1".into(), "long cell".into()], vec!["12345".into(), "x".into()]];
        assert_eq!(table(&["a", "b"], &rows), ["a      b", "1      long cell", "12345  x"]);
    }
}
