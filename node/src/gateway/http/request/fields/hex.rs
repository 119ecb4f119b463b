//! Lowercase hex digits. It never allocates.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes the bytes into `buffer`, two digits per byte.
///
/// # Panics
/// When the buffer isn't twice as long as the bytes.
pub(crate) fn encode<'a>(bytes: &[u8], buffer: &'a mut [u8]) -> &'a str {
    assert_eq!(buffer.len(), bytes.len() * 2, "two digits for each byte");
    for (byte, digits) in bytes.iter().zip(buffer.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 0xf)];
    }
    std::str::from_utf8(buffer).expect("hex digits are ASCII")
}
