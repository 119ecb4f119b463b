//! Parsers of setting values, one function per type. An error always says what was expected, never
//! only that the value is wrong.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use evenkeel_wire::{
    amount::Asset,
    id::{ClusterId, NodeId},
    limits::{AMOUNT_MAX, ASSETS_MAX, NAME_BYTES_MAX},
    transfer::Text,
};

use super::{Address, LogFormat, Profile, log_filter, settings::SettingValue};

pub(crate) fn text(value: &SettingValue) -> Result<String, String> {
    match value {
        SettingValue::Text(text) => Ok(text.clone()),
        SettingValue::Integer(_) => Err("a number; expected a text in quotes".to_owned()),
        SettingValue::Boolean(_) => Err("a boolean; expected a text in quotes".to_owned()),
        SettingValue::List(_) => Err("a list; expected a text in quotes".to_owned()),
        SettingValue::Other(kind) => Err(format!("{kind}; expected a text in quotes")),
    }
}

pub(crate) fn number(value: &SettingValue) -> Result<u64, String> {
    let digits = match value {
        SettingValue::Text(digits) | SettingValue::Integer(digits) => digits,
        SettingValue::Boolean(_) => return Err("a boolean; expected a whole number".to_owned()),
        SettingValue::List(_) => return Err("a list; expected a whole number".to_owned()),
        SettingValue::Other(kind) => return Err(format!("{kind}; expected a whole number")),
    };
    digits.parse().map_err(|_| format!("{digits:?} isn't a whole number from 0 up"))
}

/// A boolean in TOML, a text in the environment and flags.
pub(crate) fn boolean(value: &SettingValue) -> Result<bool, String> {
    match value {
        SettingValue::Boolean(value) => Ok(*value),
        SettingValue::Text(text) if text == "true" => Ok(true),
        SettingValue::Text(text) if text == "false" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

pub(crate) fn number_of_32_bits(value: &SettingValue) -> Result<u32, String> {
    let number = number(value)?;
    u32::try_from(number).map_err(|_| format!("{number} is not within 0 and {}", u32::MAX))
}

pub(crate) fn at_least_one(value: &SettingValue) -> Result<u32, String> {
    let number = number(value)?;
    u32::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("{number} is not within 1 and {}", u32::MAX))
}

/// Seconds as written, at least one, returned as milliseconds.
pub(crate) fn seconds(value: &SettingValue) -> Result<u64, String> {
    let seconds = number(value)?;
    if seconds == 0 {
        return Err("must be at least 1 s".to_owned());
    }
    seconds.checked_mul(1_000).ok_or_else(|| format!("{seconds} s is too long"))
}

pub(crate) fn balance(value: &SettingValue) -> Result<u64, String> {
    let amount = number(value)?;
    if (1..=AMOUNT_MAX).contains(&amount) {
        Ok(amount)
    } else {
        Err(format!("{amount} is not within 1 and {AMOUNT_MAX}"))
    }
}

/// A list in TOML, a text with commas in the environment and flags.
pub(crate) fn assets(value: &SettingValue) -> Result<Vec<Asset>, String> {
    let names: Vec<String> = match value {
        SettingValue::List(names) => names.clone(),
        SettingValue::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        _ => return Err("expected a list of asset names".to_owned()),
    };
    if names.is_empty() || names.len() > ASSETS_MAX {
        return Err(format!("{} assets; expected 1 to {ASSETS_MAX}", names.len()));
    }
    let mut assets: Vec<Asset> = Vec::with_capacity(names.len());
    for name in names {
        let asset = Asset::parse(&name).map_err(|error| format!("{name:?}: {error}"))?;
        if assets.contains(&asset) {
            return Err(format!("{asset} is listed twice"));
        }
        assets.push(asset);
    }
    Ok(assets)
}

pub(crate) fn cluster_id(value: &SettingValue) -> Result<ClusterId, String> {
    let text = text(value)?;
    ClusterId::parse(&text).map_err(|error| format!("{text:?}: {error}"))
}

pub(crate) fn node_id(value: &SettingValue) -> Result<NodeId, String> {
    match number(value)? {
        0 => Err("nodes are numbered from 1".to_owned()),
        id => Ok(id),
    }
}

pub(crate) fn name(value: &SettingValue) -> Result<String, String> {
    let text = text(value)?;
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!(
            "{text:?}: a name has 1 to {NAME_BYTES_MAX} bytes and no control characters"
        ));
    }
    Ok(text)
}

/// Checks a site's name, which becomes a folder's name and a metric label.
pub fn check_site_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let well_formed = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('-')
        && name.bytes().all(allowed);
    if well_formed {
        Ok(())
    } else {
        Err(format!(
            "{name:?}: a site's name has 1 to {NAME_BYTES_MAX} lowercase letters, digits and hyphens"
        ))
    }
}

pub(crate) fn site_name(value: &SettingValue) -> Result<String, String> {
    let name = text(value)?;
    check_site_name(&name)?;
    Ok(name)
}

pub(crate) fn profile(value: &SettingValue) -> Result<Profile, String> {
    let name = text(value)?;
    Profile::from_name(&name)
        .ok_or_else(|| format!("{name:?} isn't a profile; there are metro, region and world"))
}

pub(crate) fn socket_address(value: &SettingValue) -> Result<SocketAddr, String> {
    let text = text(value)?;
    text.parse().map_err(|_| {
        format!("{text:?}: a listen address is an IP address and a port, such as 127.0.0.1:7100 or [::]:7100")
    })
}

pub(crate) fn address(value: &SettingValue) -> Result<Address, String> {
    text(value)?.parse().map_err(|error: super::AddressError| error.to_string())
}

/// Relative to the folder of node.toml, so that a node can be started from any folder.
pub(crate) fn path_in(folder: &Path) -> impl Fn(&SettingValue) -> Result<PathBuf, String> {
    |value| {
        let text = text(value)?;
        if text.is_empty() { Err("an empty path".to_owned()) } else { Ok(folder.join(text)) }
    }
}

pub(crate) fn log_format(value: &SettingValue) -> Result<LogFormat, String> {
    match text(value)?.as_str() {
        "readable" => Ok(LogFormat::Readable),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("{other:?} isn't a format; there are readable and json")),
    }
}

pub(crate) fn log_filter_text(value: &SettingValue) -> Result<String, String> {
    let text = text(value)?;
    log_filter::parse_filter(&text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// The program contains the time zone database; a newer one of the machine takes precedence.
pub(crate) fn time_zone(value: &SettingValue) -> Result<Text<NAME_BYTES_MAX>, String> {
    let name = text(value)?;
    if name.is_empty() || jiff::tz::TimeZone::get(&name).is_err() {
        return Err(format!("{name:?} isn't a time zone; write its IANA name, such as Asia/Seoul"));
    }
    Text::new(&name).map_err(|error| error.to_string())
}

pub(crate) fn key_hash(value: &SettingValue) -> Result<[u8; 32], String> {
    let text = text(value)?;
    blake3::Hash::from_hex(&text).map(|hash| *hash.as_bytes()).map_err(|_| {
        "expected 64 hex digits: the blake3 hash of the operator key's text".to_owned()
    })
}
