//! Little-endian numbers at a byte offset. All layouts on disk are read and written with these
//! functions.
//!
//! Offsets and widths are constants of a layout and covered by its tests. Reading or writing past
//! the end of the buffer is a bug and panics. Lengths read from a disk are compared with the
//! buffer's length before they are used here.

/// The `N` bytes at `at`.
pub fn read_array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// The `u16` at `at`.
pub fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(read_array(bytes, at))
}

/// The `u32` at `at`.
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(read_array(bytes, at))
}

/// The `u64` at `at`.
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(read_array(bytes, at))
}

/// The `i64` at `at`.
pub fn read_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(read_array(bytes, at))
}

/// The `u128` at `at`.
pub fn read_u128(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(read_array(bytes, at))
}

/// Writes `array` at `at`.
pub fn write_array(bytes: &mut [u8], at: usize, array: &[u8]) {
    bytes[at..at + array.len()].copy_from_slice(array);
}

/// Writes a `u16` at `at`.
pub fn write_u16(bytes: &mut [u8], at: usize, value: u16) {
    write_array(bytes, at, &value.to_le_bytes());
}

/// Writes a `u32` at `at`.
pub fn write_u32(bytes: &mut [u8], at: usize, value: u32) {
    write_array(bytes, at, &value.to_le_bytes());
}

/// Writes a `u64` at `at`.
pub fn write_u64(bytes: &mut [u8], at: usize, value: u64) {
    write_array(bytes, at, &value.to_le_bytes());
}

/// Writes an `i64` at `at`.
pub fn write_i64(bytes: &mut [u8], at: usize, value: i64) {
    write_array(bytes, at, &value.to_le_bytes());
}

/// Writes a `u128` at `at`.
pub fn write_u128(bytes: &mut [u8], at: usize, value: u128) {
    write_array(bytes, at, &value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_where_they_were_put_lowest_byte_first() {
        let mut bytes = [0; 64];
        write_u16(&mut bytes, 1, 0x0201);
        write_u32(&mut bytes, 3, 0x0403_0201);
        write_u64(&mut bytes, 7, u64::MAX - 1);
        write_i64(&mut bytes, 15, -2);
        write_u128(&mut bytes, 23, u128::MAX - 2);
        write_array(&mut bytes, 60, b"tail");
        assert_eq!(bytes[1..7], [1, 2, 1, 2, 3, 4]);
        assert_eq!(read_u16(&bytes, 1), 0x0201);
        assert_eq!(read_u32(&bytes, 3), 0x0403_0201);
        assert_eq!(read_u64(&bytes, 7), u64::MAX - 1);
        assert_eq!(read_i64(&bytes, 15), -2);
        assert_eq!(read_u128(&bytes, 23), u128::MAX - 2);
        assert_eq!(&read_array::<4>(&bytes, 60), b"tail");
    }
}
