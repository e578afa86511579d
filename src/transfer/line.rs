//! One line of a dump: a key and its values, as JSON.
//!
//! Bytes that are UTF-8 are written as text, others (and long ones full of control characters)
//! as base64 under a name ending in `_b64`.
//! Unknown fields are refused: a line of another tool must not be half understood.

use std::fmt;
use std::marker::PhantomData;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteBuf;

use crate::key::Key;
use crate::protocol::EXPIRY_MS_MAX;
use crate::quorum::{Item, Precondition};
use crate::record::{RECORD_BYTES_MAX, Record};

/// A line as read: the key and its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The key.
    pub key: Key,
    /// One value, or several in conflict, each with its expiry in ms since 1970.
    pub values: Vec<(ByteBuf, Option<u64>)>,
}

impl Line {
    /// The writes of this line: the first on the given basis, further ones beside it.
    pub fn items<'a>(self, basis: &'a Precondition) -> impl Iterator<Item = Item> + 'a {
        let key = self.key;
        self.values.into_iter().enumerate().map(move |(i, value)| Item {
            key: key.clone(),
            value: Some((value.0.into_vec(), value.1)),
            basis: if i == 0 { basis.clone() } else { Precondition::Append },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    siblings: Option<Vec<Object<JsonValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonValue {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

/// A struct that is read by the names of its fields: to serde an array, too, is one, field by field in
/// the order of the source.
#[derive(Serialize)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads a line.
///
/// # Errors
/// A clause that says what is wrong with it.
pub fn parse(text: &[u8]) -> Result<Line, String> {
    let Object(json): Object<Json> = serde_json::from_slice(text).map_err(|e| {
        // The reader counts lines within the line; only the column says something.
        let why = e.to_string();
        let what = why.split(" at line ").next().unwrap_or_default();
        format!("{what} at column {}", e.column())
    })?;
    let key = bytes(json.key, json.key_b64, "key")?;
    let key = Key::new(key).map_err(|e| e.to_string())?;
    let alone = [&json.value, &json.value_b64, &json.expires].iter().all(|field| field.is_none());
    let values = match json.siblings {
        None => vec![(value(json.value, json.value_b64)?, expiry(json.expires)?)],
        Some(_) if !alone => {
            return Err("it has siblings, and a value or expires beside them".into());
        }
        Some(siblings) if siblings.is_empty() => return Err("its siblings are empty".into()),
        Some(siblings) => {
            let read = |Object(s): Object<JsonValue>| {
                Ok((value(s.value, s.value_b64)?, expiry(s.expires)?))
            };
            siblings.into_iter().map(read).collect::<Result<_, String>>()?
        }
    };
    Ok(Line { key, values })
}

fn value(text: Option<String>, b64: Option<String>) -> Result<ByteBuf, String> {
    let value = bytes(text, b64, "value")?;
    if value.len() > RECORD_BYTES_MAX {
        let size = value.len();
        return Err(format!("its value has {size} bytes; the most is 4 MiB ({RECORD_BYTES_MAX})"));
    }
    Ok(ByteBuf::from(value))
}

fn bytes(text: Option<String>, b64: Option<String>, name: &str) -> Result<Vec<u8>, String> {
    match (text, b64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(b64)) => STANDARD.decode(b64).map_err(|e| format!("{name}_b64: {e}")),
        (None, None) => Err(format!("it has no {name}")),
        (Some(_), Some(_)) => Err(format!("it has a {name} and a {name}_b64")),
    }
}

/// `expires` is ms since 1970 as a string, as 64-bit numbers are in all our JSON.
fn expiry(text: Option<String>) -> Result<Option<u64>, String> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(at) if at <= EXPIRY_MS_MAX => Ok(Some(at)),
        Ok(_) => Err(format!("expires: {text} is too late; the last is {EXPIRY_MS_MAX}")),
        Err(_) => Err(format!("expires: {text} is not a number of ms")),
    }
}

/// How much longer than base64 text may get before base64 is taken.
const ESCAPES_BYTES_MAX: usize = 64 << 10;

/// Text where the bytes are UTF-8, but for a long value of which JSON would escape too much: its
/// line must stay below the longest that is read.
fn split(bytes: &[u8]) -> (Option<String>, Option<String>) {
    let width = |b: &u8| match b {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    let short =
        || bytes.iter().map(width).sum::<usize>() <= bytes.len() / 3 * 4 + ESCAPES_BYTES_MAX;
    match std::str::from_utf8(bytes) {
        Ok(text) if short() => (Some(text.to_owned()), None),
        _ => (None, Some(STANDARD.encode(bytes))),
    }
}

/// The line of a record as a reader sees it at `now_ms`; `None` when it sees nothing.
#[must_use]
pub fn encode(
    key: &Key,
    record: &Record,
    now_ms: u64,
    clock: bool,
    expires: bool,
) -> Option<String> {
    let visible = record.visible(now_ms);
    let (name, name_b64) = split(key.as_bytes());
    let mut json = Json {
        key: name,
        key_b64: name_b64,
        value: None,
        value_b64: None,
        siblings: None,
        expires: None,
        clock: None,
    };
    let until = |at: Option<u64>| at.filter(|_| expires).map(|at| at.to_string());
    match visible.as_slice() {
        [] => return None,
        [(_, only)] => {
            (json.value, json.value_b64) = split(&only.bytes);
            json.expires = until(only.expires_ms);
        }
        several => {
            let each = several.iter().map(|(_, v)| {
                let (value, value_b64) = split(&v.bytes);
                Object(JsonValue { value, value_b64, expires: until(v.expires_ms) })
            });
            json.siblings = Some(each.collect());
        }
    }
    if clock {
        let entries = record.clock.entries().iter();
        let map = entries.map(|(a, c)| (a.to_string(), serde_json::Value::String(c.to_string())));
        json.clock = Some(serde_json::Value::Object(map.collect()));
    }
    serde_json::to_string(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused_with_a_reason() {
        let line = parse(br#"{"key":"k","value":"v"}"#).unwrap();
        assert_eq!(
            (line.key.as_bytes(), &line.values),
            (&b"k"[..], &vec![(ByteBuf::from(*b"v"), None)])
        );
        let line = parse(br#"{"key_b64":"/w==","siblings":[{"value":"a"},{"value_b64":"AA=="}]}"#);
        assert_eq!(line.unwrap().values.len(), 2);
        for (text, why) in [
            (r#"{"value":"v"}"#, "no key"),
            (r#"{"key":"","value":"v"}"#, "empty"),
            (r#"{"key":"k"}"#, "no value"),
            (r#"{"key":"k","value":"v","vlaue":"x"}"#, "unknown field"),
            (r#"{"key":"k","#, "EOF"),
            (r#"{"key":"k","value":"v"} {}"#, "trailing"),
            (r#"["k",null,"v",null,null,null,null]"#, "sequence"),
            (r#"{"key":"k","siblings":[["v",null,null]]}"#, "sequence"),
            (r#"{"key":"k","value_b64":"!"}"#, "value_b64"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
