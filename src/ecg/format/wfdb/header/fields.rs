//! Parses the numbers in the lines of a header.

use std::str::FromStr;

use super::super::super::{damaged, shown};
use crate::{Error, Result};

/// What to do about a line that cannot be understood.
const REMEDY: &str = "check that this is a WFDB header and correct this line";

/// Parses a field's number, if the field is present.
pub(super) fn number<T: FromStr>(field: Option<&str>, what: &str) -> Result<Option<T>> {
    field.map(|text| text.parse().map_err(|_| no_number(text, what))).transpose()
}

/// Parses a field's whole number, if the field is present. Some writers add a fraction of zero, as in `5000.0`.
pub(super) fn whole_number<T: FromStr + TryFrom<i64>>(field: Option<&str>, what: &str) -> Result<Option<T>> {
    field.map(|text| whole(text).ok_or_else(|| no_number(text, what))).transpose()
}

/// Parses a whole number, with or without a fraction of zero.
pub(super) fn whole<T: FromStr + TryFrom<i64>>(text: &str) -> Option<T> {
    // Every whole number up to this size is exact as an f64.
    const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
    let rounded = || text.parse::<f64>().ok().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT);
    text.parse().ok().or_else(|| T::try_from(rounded()? as i64).ok())
}

/// Splits `field` into the text before `mark` and the number after it, if there is one.
pub(super) fn split_number<'t>(field: &'t str, mark: char, what: &str) -> Result<(&'t str, Option<u64>)> {
    match field.split_once(mark) {
        Some((before, after)) => Ok((before, number(Some(after), what)?)),
        None => Ok((field, None)),
    }
}

/// Makes an error about a field that must be there.
pub(super) fn missing(what: &str) -> Error {
    damaged(format!("the {what} is missing"), REMEDY)
}

fn no_number(text: &str, what: &str) -> Error {
    damaged(format!("'{}' is no {what}", shown(text.as_bytes())), REMEDY)
}
