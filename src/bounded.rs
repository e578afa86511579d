//! What is read from outside in pieces: lists up to a bound, texts that can be printed.
//!
//! A list that claims more entries than its bound is refused at the entry too many, so that nobody
//! makes a node keep what it would throw away later. A text that came from elsewhere is cut where it is long, and
//! holds nothing that moves a terminal's cursor or forges a line:
//!
//! ```text
//! "it is full"   -> it is full          "\u{1b}[2J\nn9 up" -> \u{1b}[2J\nn9 up, as one reads it here
//! ```
//!
//! What it does not do: it knows no bound but the one it is given. Caveat: a list within its bound may
//! hold entries as large as their own type allows.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A text of a refusal or report is cut after so many bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// Reads a list of at most `MAX` entries.
///
/// # Errors
/// At the entry too many, or at one that cannot be read.
pub fn at_most<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = seq.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(List::<T, MAX>(PhantomData))
}

/// Reads a text from elsewhere: made [`plain`], and cut after [`TEXT_BYTES_MAX`].
///
/// # Errors
/// For bytes that are no text.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut text = String::deserialize(deserializer)?;
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    Ok(plain(&text).into_owned())
}

/// As [`text`], where there may be none.
///
/// # Errors
/// As [`text`].
pub fn some_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Text(#[serde(deserialize_with = "text")] String);
    Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
}

/// A text as it can be printed anywhere: what moves a cursor, ends a line or turns the direction of
/// writing is shown as an escape. A backslash stays: this is for people, not to be read back.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// As [`plain`], but lines stay lines and tabs tabs: for texts of several lines or columns.
#[must_use]
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| acts(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive(['\n', '\t']).map(line).collect())
}

/// A piece of a text with the line end or tab that ends it.
fn line(piece: &str) -> String {
    let end = piece.strip_suffix(['\n', '\t']).map_or(piece.len(), str::len);
    format!("{}{}", plain(&piece[..end]), &piece[end..])
}

/// Whether a terminal or a reader of lines does something at this character, beyond showing it.
fn acts(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Short(#[serde(deserialize_with = "at_most::<_, _, 3>")] Vec<u8>);

    #[test]
    fn a_list_ends_at_its_bound() {
        let read = |list: &[u8]| {
            postcard::from_bytes::<Short>(&postcard::to_stdvec(&list.to_vec()).expect("bytes"))
        };
        assert_eq!(read(&[1, 2, 3]).expect("three").0, [1, 2, 3]);
        assert!(read(&[1, 2, 3, 4]).is_err());
        let claims = postcard::to_stdvec(&usize::MAX).expect("bytes");
        assert!(postcard::from_bytes::<Short>(&claims).is_err());
    }

    #[test]
    fn what_is_printed_stays_on_its_line() {
        assert_eq!(plain("caf\u{e9} \\ 1"), "caf\u{e9} \\ 1");
        assert_eq!(plain("a\u{1b}[2J\nb\u{202e}c"), "a\\u{1b}[2J\\nb\\u{202e}c");
        assert_eq!(plain("\u{9b}m\r"), "\\u{9b}m\\r");
        assert_eq!(plain_lines("a\nb\u{7}\n"), "a\nb\\u{7}\n");
    }

    #[test]
    fn a_text_from_elsewhere_is_short_and_plain() {
        #[derive(serde::Deserialize)]
        struct Text(#[serde(deserialize_with = "text")] String);
        let read = |text: &str| {
            postcard::from_bytes::<Text>(&postcard::to_stdvec(text).expect("bytes")).map(|t| t.0)
        };
        assert_eq!(read("no\nway").expect("short"), "no\\nway");
        let long = read(&"é".repeat(TEXT_BYTES_MAX)).expect("a text");
        assert_eq!((long.len(), long.ends_with('…')), (TEXT_BYTES_MAX + 3, true));
    }
}
