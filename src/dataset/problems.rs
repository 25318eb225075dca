//! Joins many problems into one error.

use std::fmt::Display;

use crate::{Error, Result};

/// How many problems an error names; further ones are only counted.
const NAMED: usize = 10;

/// What to do about a copy with problems.
pub(super) const REPAIR: &str = "check the copy to list all of them, and download again to replace what is wrong";

/// Succeeds if there are no `problems`. Otherwise returns one error that names the first ten and counts the rest. `origin`
/// says where they were found, `remedy` what to do about them.
///
/// # Errors
/// There are problems.
pub(super) fn none(origin: impl Display, mut problems: Vec<Error>, remedy: &str) -> Result<()> {
    let (count, Some(first)) = (problems.len(), problems.first()) else { return Ok(()) };
    let kind = first.kind();
    if count == 1 {
        return problems.pop().map_or(Ok(()), Err);
    }
    problems.truncate(NAMED);
    let mut named: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if count > NAMED {
        named.push(format!("and {} more", count - NAMED));
    }
    Err(Error::new(kind, format!("{origin}: {count} problems: {}", named.join("; ")), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn ten_problems_are_named_and_the_others_counted() {
        let problem = |n| Error::new(ErrorKind::Dataset, format!("cause {n}"), "remedy");
        let many = |n| none("here", (0..n).map(problem).collect(), "repair").unwrap_err().to_string();
        assert!(none("here", Vec::new(), "repair").is_ok());
        assert_eq!(many(1), "cause 0: remedy");
        assert!(many(2).starts_with("here: 2 problems: cause 0: remedy; cause 1: remedy: repair"), "{}", many(2));
        let text = many(13);
        assert!(text.contains("cause 9: remedy; and 3 more: repair") && !text.contains("cause 10"), "{text}");
    }
}
