//! Query parameters of the admin routes. It never accepts an unknown or repeated one.

use super::answers::AdminRefusal;

/// The named parameters of a query, each at most once, and no others.
pub(crate) fn parameters<const N: usize>(
    query: &str,
    names: [&str; N],
) -> Result<[Option<String>; N], AdminRefusal> {
    let mut found = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = names.iter().position(|known| *known == name).ok_or_else(|| {
            AdminRefusal::Malformed(format!(
                "unknown parameter {name}; there are {}",
                names.join(", ")
            ))
        })?;
        if found[place].replace(unescape(value)?).is_some() {
            return Err(AdminRefusal::Malformed(format!("{name} is there twice")));
        }
    }
    Ok(found)
}

/// Decodes percent-encoding. A `+` stays a plus: it's more often part of a time's offset than a
/// space.
fn unescape(value: &str) -> Result<String, AdminRefusal> {
    let wrong = || AdminRefusal::Malformed(format!("{value:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                u8::try_from(high * 16 + low).expect("two hex digits")
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
