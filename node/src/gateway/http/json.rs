//! Strict JSON: one spelling for everything, nothing unknown, nothing twice, nothing behind it. What is wrong is named.

use axum::body::Bytes;
use serde::{Deserialize, de};
use serde_json::Deserializer;

use super::{
    fields::NOT_UUID_V7,
    problem::{Code, Problem},
};

/// Reads a whole body. No body at all counts as an empty object: an id may come in a header, and nothing else may be needed.
///
/// # Errors
/// Names the field.
pub(super) fn read<'de, T: Deserialize<'de>>(body: &'de Bytes) -> Result<T, Problem> {
    read_bytes(if body.is_empty() { b"{}" } else { body })
}

pub(super) fn read_bytes<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    // The way that remembers the path costs more: it's gone again only when something is wrong.
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error))
}

/// Reads a command of a batch: its body as the single route takes it, with a `type` that was read before.
///
/// # Errors
/// Names the field.
pub(super) fn read_item<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Problem> {
    let mut json = Deserializer::from_str(text);
    T::deserialize(WithoutType(&mut json)).map_err(|error| {
        let mut json = Deserializer::from_str(text);
        let traced = serde_path_to_error::deserialize::<_, T>(WithoutType(&mut json));
        problem(traced.err().map(|traced| traced.path().to_string()), &error)
    })
}

#[cold]
fn explain<'de, T: Deserialize<'de>>(bytes: &'de [u8], error: &serde_json::Error) -> Problem {
    let mut json = Deserializer::from_slice(bytes);
    let traced = serde_path_to_error::deserialize::<_, T>(&mut json);
    problem(traced.err().map(|traced| traced.path().to_string()), error)
}

fn problem(path: Option<String>, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let code = if text.starts_with(NOT_UUID_V7) { Code::IdNotUuidV7 } else { Code::Malformed };
    match path.as_deref() {
        None | Some("." | "?") => Problem::new(code, text),
        Some(path) => Problem::new(code, format!("{path}: {text}")),
    }
}

/// A deserializer that passes over the field `type`.
struct WithoutType<D>(D);

impl<'de, D: de::Deserializer<'de>> de::Deserializer<'de> for WithoutType<D> {
    type Error = D::Error;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(WithoutType(visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: de::Visitor<'de>> de::Visitor<'de> for WithoutType<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(WithoutType(map))
    }
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for WithoutType<A> {
    type Error = A::Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<std::borrow::Cow<'de, str>>()? {
            if key != "type" {
                let key = de::IntoDeserializer::<A::Error>::into_deserializer(key);
                return seed.deserialize(key).map(Some);
            }
            let de::IgnoredAny = self.0.next_value()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}
