//! The settings as written, each with its origin: a line of `node.toml`, an environment variable or
//! a flag.
//!
//! This file defines which keys exist and their TOML types; `config` gives them meaning. An unknown
//! key is an error that names the key and the line: a misspelt setting is never silently ignored.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{ConfigError, Overrides};

/// Every key by section, except those of `[[members]]`.
const KEYS: &[(&str, &[&str])] = &[
    ("cluster", &["id", "name", "profile"]),
    ("node", &["id", "site", "data"]),
    ("listen", &["peer", "client", "http"]),
    ("tls", &["ca", "cert", "key"]),
    ("http", &["cert", "key", "plain"]),
    (
        "limits",
        &[
            "requests_per_second",
            "burst",
            "commands_per_second",
            "bytes_per_second",
            "operator_exempt",
            "connections_per_address",
        ],
    ),
    ("admin", &["socket"]),
    ("log", &["format", "filter"]),
    (
        "genesis",
        &[
            "assets",
            "wallet_max_balance",
            "id_horizon_s",
            "id_tolerance_s",
            "time_zone",
            "operator_key",
        ],
    ),
];
const MEMBER_KEYS: &[&str] = &["node", "site", "peer", "client"];

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the file, from 1.
    Line(PathBuf, usize),
    /// The file, which lacks the key.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "--set {flag}"),
        }
    }
}

/// A value as written. The environment and flags hold only texts.
#[derive(Clone, Debug)]
pub(crate) enum SettingValue {
    Text(String),
    Integer(String),
    Boolean(bool),
    List(Vec<String>),
    Other(&'static str),
}

#[derive(Clone, Debug)]
struct Setting {
    value: SettingValue,
    origin: Origin,
}

/// All settings by full key: `listen.peer`, `members[0].peer`.
#[derive(Debug)]
pub(crate) struct Settings {
    path: PathBuf,
    values: BTreeMap<String, Setting>,
    pub(crate) members: usize,
    /// Variables that begin like ours and name no key.
    pub(crate) ignored: Vec<String>,
}

impl Settings {
    pub(crate) fn read(
        path: &Path,
        text: &str,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let (path, values, ignored) = (path.to_owned(), BTreeMap::new(), Vec::new());
        let mut settings = Self { path, values, members: 0, ignored };
        settings.read_file(text)?;
        for (name, value) in &overrides.environment {
            let Some(key) = environment_key(name) else {
                settings.ignored.push(name.clone());
                continue;
            };
            let origin = Origin::Environment(name.clone());
            settings.put(key, SettingValue::Text(value.clone()), origin);
        }
        for (key, value) in &overrides.flags {
            let origin = Origin::Flag(key.clone());
            if !is_known(key) {
                return Err(unknown(origin, key));
            }
            settings.put(key.clone(), SettingValue::Text(value.clone()), origin);
        }
        Ok(settings)
    }

    /// A required setting.
    pub(crate) fn get<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&SettingValue) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let setting = self.values.get(key).ok_or_else(|| ConfigError::Invalid {
            origin: Origin::File(self.path.clone()),
            key: key.to_owned(),
            problem: "is missing".to_owned(),
        })?;
        parse(&setting.value).map_err(|problem| ConfigError::Invalid {
            origin: setting.origin.clone(),
            key: key.to_owned(),
            problem,
        })
    }

    /// A setting with a default.
    pub(crate) fn get_or<T>(
        &self,
        key: &str,
        default: T,
        parse: impl FnOnce(&SettingValue) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        if self.values.contains_key(key) { self.get(key, parse) } else { Ok(default) }
    }

    /// The error for a setting that contradicts another one.
    pub(crate) fn invalid_setting(&self, key: &str, problem: String) -> ConfigError {
        let origin = self
            .values
            .get(key)
            .map_or_else(|| Origin::File(self.path.clone()), |setting| setting.origin.clone());
        ConfigError::Invalid { origin, key: key.to_owned(), problem }
    }

    fn put(&mut self, key: String, value: SettingValue, origin: Origin) {
        self.values.insert(key, Setting { value, origin });
    }

    fn read_file(&mut self, text: &str) -> Result<(), ConfigError> {
        let line_of = |at: usize| {
            let before = text.get(..at).unwrap_or(text);
            before.matches('\n').count() + 1
        };
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            origin: Origin::Line(
                self.path.clone(),
                error.span().map_or(1, |span| line_of(span.start)),
            ),
            problem: error.message().replace('\n', ", "),
        })?;
        for (section, value) in document.get_ref() {
            let origin = Origin::Line(self.path.clone(), line_of(section.span().start));
            let name = section.get_ref().as_ref();
            match (name, value.get_ref()) {
                ("members", DeValue::Array(members)) => {
                    for member in members {
                        let prefix = format!("members[{}]", self.members);
                        let DeValue::Table(table) = member.get_ref() else {
                            return Err(wrong_shape(origin, &prefix, "write [[members]]"));
                        };
                        self.read_table(&prefix, MEMBER_KEYS, table, &line_of)?;
                        self.members += 1;
                    }
                }
                (name, DeValue::Table(table)) => {
                    let (_, keys) = KEYS
                        .iter()
                        .find(|(section, _)| *section == name)
                        .ok_or_else(|| unknown(origin, name))?;
                    self.read_table(name, keys, table, &line_of)?;
                }
                (name, _) if name == "members" || KEYS.iter().any(|(known, _)| *known == name) => {
                    return Err(wrong_shape(origin, name, "is a section: write it in brackets"));
                }
                (name, _) => return Err(unknown(origin, name)),
            }
        }
        Ok(())
    }

    fn read_table(
        &mut self,
        prefix: &str,
        keys: &[&str],
        table: &DeTable<'_>,
        line_of: &impl Fn(usize) -> usize,
    ) -> Result<(), ConfigError> {
        for (key, value) in table {
            let origin = Origin::Line(self.path.clone(), line_of(key.span().start));
            let full = format!("{prefix}.{}", key.get_ref());
            if !keys.contains(&key.get_ref().as_ref()) {
                return Err(unknown(origin, &full));
            }
            self.put(full, value_of(value.get_ref()), origin);
        }
        Ok(())
    }
}

fn value_of(value: &DeValue<'_>) -> SettingValue {
    match value {
        DeValue::String(text) => SettingValue::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => {
            SettingValue::Integer(number.as_str().replace('_', ""))
        }
        DeValue::Boolean(value) => SettingValue::Boolean(*value),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            texts.map_or(
                SettingValue::Other("a list with items that aren't texts"),
                SettingValue::List,
            )
        }
        other => SettingValue::Other(other.type_str()),
    }
}

/// The key that a variable sets. Only documented names count: an orchestrator injects variables
/// that begin alike (`EVENKEEL_HTTP_PORT=tcp://…` for a service called `evenkeel-http`), and a node
/// must start beside them.
fn environment_key(name: &str) -> Option<String> {
    if name == "EVENKEEL_LOG" {
        return Some("log.filter".to_owned());
    }
    let keys = KEYS.iter().flat_map(|(section, keys)| keys.iter().map(move |key| (section, key)));
    let mut keys = keys.map(|(section, key)| format!("{section}.{key}"));
    keys.find(|key| variable_of(key) == name)
}

/// The variable that sets a key.
fn variable_of(key: &str) -> String {
    format!("EVENKEEL_{}", key.replace('.', "_").to_ascii_uppercase())
}

fn is_known(key: &str) -> bool {
    key.split_once('.').is_some_and(|(section, key)| {
        KEYS.iter().any(|(known, keys)| *known == section && keys.contains(&key))
    })
}

fn unknown(origin: Origin, key: &str) -> ConfigError {
    ConfigError::Unknown { origin, key: key.to_owned() }
}

fn wrong_shape(origin: Origin, key: &str, problem: &str) -> ConfigError {
    ConfigError::Invalid { origin, key: key.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether Kubernetes or Docker may inject a variable of this name for some service.
    fn is_injected(name: &str) -> bool {
        name.ends_with("_SERVICE_HOST") || name.ends_with("_PORT") || name.contains("_PORT_")
    }

    #[test]
    fn no_documented_variable_can_be_injected_for_a_service_of_any_name() {
        let keys = KEYS.iter().flat_map(|(section, keys)| {
            keys.iter().map(move |key| variable_of(&format!("{section}.{key}")))
        });
        let injected: Vec<String> = keys.filter(|name| is_injected(name)).collect();
        assert!(injected.is_empty(), "a service's variable would set a key: {injected:?}");
    }

    #[test]
    fn a_variable_sets_exactly_the_key_that_it_is_documented_for() {
        assert_eq!(environment_key("EVENKEEL_HTTP_CERT").as_deref(), Some("http.cert"));
        assert_eq!(environment_key("EVENKEEL_LOG").as_deref(), Some("log.filter"));
        for other in ["EVENKEEL_HTTP_PORT", "EVENKEEL_http_cert", "EVENKEEL_", "EVENKEEL_HTTP"] {
            assert_eq!(environment_key(other), None, "{other}");
        }
    }
}
