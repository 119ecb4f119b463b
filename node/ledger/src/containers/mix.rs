//! Mixing numbers by multiplication: cheap, and it spreads every bit. It's no defence against
//! anyone who knows the constants.

/// Odd constants without a pattern: the fractional parts of square roots of primes.
pub(crate) const ROOTS: [u64; 8] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// Both halves of the product, one folded onto the other.
#[inline]
pub(crate) fn fold(one: u64, other: u64) -> u64 {
    let (low, high) = halves(u128::from(one).wrapping_mul(u128::from(other)));
    low ^ high
}

/// The low and the high half.
#[inline]
#[expect(clippy::as_conversions, reason = "the other half is to be cut off")]
pub(crate) fn halves(number: u128) -> (u64, u64) {
    (number as u64, (number >> 64) as u64)
}

/// The bits of a balance.
#[inline]
pub(crate) fn bits(balance: i64) -> u64 {
    u64::from_le_bytes(balance.to_le_bytes())
}
