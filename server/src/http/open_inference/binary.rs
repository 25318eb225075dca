//! Bodies of JSON with binary data behind it.

use axum::http::{HeaderMap, HeaderName};

use crate::http::failure::{Failure, Outcome};

/// The header that gives the bytes of the JSON, in requests and in responses.
pub const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Divides a body into its JSON and its binary data. Without the header all of it is JSON.
///
/// # Errors
/// 400: the header is no number, or larger than the body.
pub fn divide<'a>(headers: &HeaderMap, body: &'a [u8]) -> Outcome<(&'a [u8], &'a [u8])> {
    let Some(length) = headers.get(JSON_LENGTH) else { return Ok((body, &[])) };
    let digits = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let divided = digits.and_then(|text| text.parse().ok()).and_then(|length| body.split_at_checked(length));
    divided.ok_or_else(|| {
        let cause = "the header Inference-Header-Content-Length is no length within the body";
        Failure::malformed(cause, "give the bytes of the JSON in front of the binary data")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_divided_where_the_header_says() {
        let divided = |length: Option<&str>| {
            let mut headers = HeaderMap::new();
            length.map(|length| headers.insert(JSON_LENGTH, length.parse().unwrap()));
            divide(&headers, b"{}1234").map(|(json, binary)| (json.len(), binary.len()))
        };
        assert_eq!(divided(None).unwrap(), (6, 0));
        assert_eq!(divided(Some("2")).unwrap(), (2, 4));
        assert_eq!(divided(Some("6")).unwrap(), (6, 0));
        for bad in ["7", "-1", "+2", "", "2.0", "99999999999999999999999", "0x2"] {
            assert!(divided(Some(bad)).is_err(), "{bad}");
        }
    }
}
