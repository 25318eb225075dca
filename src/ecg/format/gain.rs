//! Warns about gains that turn leads upside down.

/// Warns about signals whose factor from steps to volts is negative; none if there are none.
pub(super) fn upside_down(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| {
        format!("the file states a negative gain, which turns leads upside down: is it meant? ({})", names.join(", "))
    })
}
