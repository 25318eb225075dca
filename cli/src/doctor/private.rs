//! Removes from messages what says whose machine it is: paths, and the names of the user and of the machine.

/// The environment variables that name the user or the machine.
const NAMES: [&str; 5] = ["USER", "LOGNAME", "USERNAME", "HOSTNAME", "COMPUTERNAME"];

/// Returns a message without paths and names.
pub fn redacted(text: &str) -> String {
    let folders = [std::env::home_dir(), std::env::current_dir().ok(), std::env::temp_dir().into()];
    let folders = folders.into_iter().flatten().map(|folder| folder.to_string_lossy().into_owned());
    let names = NAMES.iter().filter_map(|name| std::env::var(name).ok());
    without(text, &folders.collect::<Vec<_>>(), &names.collect::<Vec<_>>())
}

/// Replaces folders, whose names may contain spaces, then other paths word by word, then names.
fn without(text: &str, folders: &[String], names: &[String]) -> String {
    let mut text = text.to_string();
    for folder in folders.iter().filter(|folder| folder.len() > 1) {
        text = text.replace(folder.as_str(), "/…");
    }
    let ends_word = |c: char| c.is_whitespace() || "'\"()<>[]{},;=".contains(c);
    let words = text.split_inclusive(ends_word).map(|word| {
        let bare = word.trim_end_matches(ends_word);
        let end = &word[bare.len()..];
        let shown = bare.trim_end_matches(['.', ':', '?', '!']);
        let after = &bare[shown.len()..];
        let shown = if is_path(shown) {
            "<path>"
        } else if names.iter().any(|name| name == shown) {
            "<name>"
        } else {
            shown
        };
        format!("{shown}{after}{end}")
    });
    words.collect()
}

/// Whether a word is an absolute path, a path of Windows, or in the home folder.
fn is_path(word: &str) -> bool {
    (word.starts_with('/') && word.len() > 1) || word.starts_with("~/") || word.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_paths_and_names_and_nothing_else() {
        for (said, kept) in [
            ("'/home/jane doe/a.tuning' is for another GPU", "'<path>' is for another GPU"),
            ("cannot read /opt/driver.so: no such file", "cannot read <path>: no such file"),
            (r"C:\Users\jane\ecgpu.exe failed (code 5).", "<path> failed (code 5)."),
            ("opened by jane, on ward-7.", "opened by <name>, on <name>."),
            ("see ~/x.json; 12 records/s on NVIDIA H200 (1/2)", "see <path>; 12 records/s on NVIDIA H200 (1/2)"),
            ("janes card keeps its name", "janes card keeps its name"),
        ] {
            assert_eq!(without(said, &["/home/jane doe".into()], &["jane".into(), "ward-7".into()]), kept);
        }
    }
}
