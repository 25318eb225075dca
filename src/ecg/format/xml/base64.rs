//! Decodes samples that are stored as Base64.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::damaged;
use crate::Result;

/// Devices leave out the padding, or leave bits of it set.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Decodes Base64 that may be broken into lines. `what` names the data in an error.
///
/// # Errors
/// The text is no Base64.
pub(super) fn decode(text: &str, what: &str) -> Result<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let bytes = GeneralPurpose::new(&STANDARD, CONFIG).decode(letters);
    bytes.map_err(|error| {
        damaged(format!("{what} is no valid Base64: {error}"), "the file is cut off or damaged: get it again")
    })
}
