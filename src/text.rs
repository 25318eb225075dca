//! Text from files, such as names, made safe to be shown.

/// Whether a character changes how the text around it is shown: it moves the cursor, begins a new line, or turns the
/// direction of writing.
pub fn is_deceptive(character: char) -> bool {
    let separates_lines = matches!(character, '\u{2028}' | '\u{2029}');
    let turns =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || separates_lines || turns
}

/// Escapes the characters that [`is_deceptive`] names, so that a text is one line that shows what it holds.
pub fn escaped(text: &str) -> String {
    let escape = |c: char| if is_deceptive(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_that_shows_what_it_holds() {
        assert_eq!(escaped("Müller\t\u{1b}[31m"), "Müller\\t\\u{1b}[31m");
        assert_eq!(escaped("a\u{202e}aeh.b\u{2066}"), "a\\u{202e}aeh.b\\u{2066}");
        assert_eq!(escaped("\u{7f}\u{90}\u{9b}2J\u{2028}"), "\\u{7f}\\u{90}\\u{9b}2J\\u{2028}");
    }
}
