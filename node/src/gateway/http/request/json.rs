//! Strict JSON: one spelling for every value, no unknown field, no duplicate, nothing after the
//! end. An error names the field.

use std::{borrow::Cow, fmt};

use axum::body::Bytes;
use serde::{Deserialize, de};
use serde_json::Deserializer;

use super::fields::NOT_UUID_V7;
use crate::gateway::http::answer::problem::{Code, Problem};

/// Reads a whole body, which is an object. No body counts as an empty object: the id may be in a
/// header, and a command may need nothing else.
///
/// # Errors
/// Names the field.
pub(crate) fn read<'de, T: Deserialize<'de>>(body: &'de Bytes) -> Result<T, Problem> {
    read_object(if body.is_empty() { b"{}" } else { body }, None)
}

/// Reads an object; a field named `ignored` is skipped.
///
/// # Errors
/// Names the field.
pub(crate) fn read_object<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    ignored: Option<&'static str>,
) -> Result<T, Problem> {
    let mut json = Deserializer::from_slice(bytes);
    let read = T::deserialize(Object { inner: &mut json, ignored });
    // Tracking the path is slower, so the body is read again with it only after an error.
    read.and_then(|value| json.end().map(|()| value))
        .map_err(|error| explain::<T>(bytes, ignored, &error))
}

#[cold]
fn explain<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    ignored: Option<&'static str>,
    error: &serde_json::Error,
) -> Problem {
    let mut json = Deserializer::from_slice(bytes);
    let object = Object { inner: &mut json, ignored };
    let traced = serde_path_to_error::deserialize::<_, T>(object);
    let text = error.to_string();
    let code = if text.starts_with(NOT_UUID_V7) { Code::IdNotUuidV7 } else { Code::Malformed };
    match traced.err().map(|traced| traced.path().to_string()).as_deref() {
        None | Some("." | "?") => Problem::new(code, text),
        Some(path) => Problem::new(code, format!("{path}: {text}")),
    }
}

/// Deserializes a field that is an object itself.
pub(crate) fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: de::Deserializer<'de>,
{
    T::deserialize(Object { inner: deserializer, ignored: None })
}

/// A deserializer that accepts objects only: serde would also read a structure from an array, by
/// the order of its fields.
struct Object<D> {
    inner: D,
    ignored: Option<&'static str>,
}

impl<'de, D: de::Deserializer<'de>> de::Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, ignored } = self;
        inner.deserialize_map(Object { inner: visitor, ignored })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: de::Visitor<'de>> de::Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        match self.ignored {
            None => self.inner.visit_map(map),
            Some(name) => self.inner.visit_map(Without { map, name }),
        }
    }
}

/// An object without one of its fields.
struct Without<A> {
    map: A,
    name: &'static str,
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for Without<A> {
    type Error = A::Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<Cow<'de, str>>()? {
            if key != self.name {
                let key = de::IntoDeserializer::<A::Error>::into_deserializer(key);
                return seed.deserialize(key).map(Some);
            }
            let de::IgnoredAny = self.map.next_value()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
