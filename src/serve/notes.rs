//! What the node wants a person to know, written to the log and counted.
//!
//! ```text
//! Note::Unreadable(p, key)  ->  ERROR a record fails its checksum …      kvs_notes{kind="unreadable"}
//! ```

use super::meter;
use crate::key;
use crate::node::Note;

/// Logs and counts a note.
pub(super) fn log(note: &Note) {
    match note {
        Note::Unreadable(p, bytes) => {
            meter::note("unreadable");
            let key = key::escape(bytes);
            tracing::error!(%p, key, "a record fails its checksum; it is healed from the others");
        }
        Note::Clash(key) => {
            meter::note("clash");
            tracing::error!(%key, "two values carry one dot: corruption");
        }
        Note::Lost(why) => {
            meter::note("lost");
            tracing::warn!("records may have been lost; filling anew: {why}");
        }
        Note::Refused(from, why) => {
            meter::note("refused");
            tracing::warn!(%from, "a message was refused: {why}");
        }
    }
}
