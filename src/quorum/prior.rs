//! The reading before a write: whether enough is known of what it replaces.
//!
//! ```text
//! Wait -> Mint                                     enough owners told what they hold
//!      -> Guess                                    too few did, and the write is sloppy
//!      -> Refuse                                   too few did, and it is strict; or it is too late
//! ```
//!
//! A guess is said in the reply: it replaces only what was seen, and what was not seen stays beside it.
//!
//! Law of the end: a write is minted before half of its time is over, or never. Its client waits longer
//! than that before it reports that the outcome is unknown, so what it writes next is never superseded by
//! what it had asked for before.

use super::{Progress, PutRequest, ReadTally, TimeLeft, Verdict};
use crate::planted::{self, Bug};

/// What a write does next while it reads what it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriorNext {
    /// Too little is known, and more may come.
    Wait,
    /// Mint it: enough is known, or it need not know.
    Mint,
    /// Mint it by what was seen; the reply says that it guessed.
    Guess,
    /// Too little is known, or it is too late. Nothing was written.
    Refuse(Verdict),
}

impl ReadTally {
    /// What to do next for a write that is not minted yet. Its patience is over when a third of its time
    /// is gone, and all of it when half is gone.
    ///
    /// A write that need not know what it replaces is minted at once; only half of its time must not be
    /// over.
    #[must_use]
    pub fn next_prior(&self, request: &PutRequest, progress: Progress) -> PriorNext {
        let keys = if request.reads_before() { request.items.len() } else { 0 };
        let known = self.is_enough(keys);
        if !known && progress.outstanding > 0 && progress.time == TimeLeft::Plenty {
            return PriorNext::Wait;
        }
        if !known && request.is_strict() {
            let why =
                "too few owners with a full copy reported what they hold; nothing was written";
            return PriorNext::Refuse(Verdict::Refused(why.into()));
        }
        if progress.time == TimeLeft::Over && !planted::is(Bug::LateMint) {
            let why = "it could not start within half of its timeout; nothing was written";
            return PriorNext::Refuse(Verdict::Refused(why.into()));
        }
        if known { PriorNext::Mint } else { PriorNext::Guess }
    }
}
