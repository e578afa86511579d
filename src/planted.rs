//! Deliberate bugs, for the simulator to prove that it finds them, and a wall clock that is wrong.
//!
//! Each is one naive design that loses data. They exist only under the Cargo feature `planted`, are
//! chosen at run time for the calling thread, and are never in a release build: without the feature
//! [`is`] is the constant `false` and the compiler removes every use.

/// One naive design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// After a failed commit the counter goes back, so a dot is minted twice.
    ReuseDot,
    /// A coordinator sends before its own commit is durable.
    SendBeforeCommit,
    /// Minting reads the store and not the node's own staged writes.
    ReadPastStaged,
    /// Merge keeps one sibling of several.
    DropSibling,
    /// A read counts a fallback that holds a hint, or nothing, as an owner.
    CountFallback,
    /// During a ring change a write goes to one layout only.
    SkipOlderLayout,
    /// A put's context covers what its client never saw.
    CoverTooMuch,
    /// An unreadable record is taken for an absent one.
    UnreadableIsAbsent,
    /// A filling owner votes and mints.
    FillingVotes,
    /// An acknowledged hint is thrown away.
    DropHint,
    /// An acceptor promises before the promise is durable.
    PromiseEarly,
    /// An owner acknowledges a write before its own commit.
    AckEarly,
    /// A hint is dropped whatever its target answers.
    HintForgotten,
    /// A hint that changed while it was delivered is dropped with what was delivered.
    ChangedHintForgotten,
    /// A second write kept for a member replaces the first, though neither covers the other.
    HintReplaced,
    /// A hint counts beside the acknowledgement of the very owner it is for.
    HintBesideAck,
    /// A merge drops what has expired by this node's own clock.
    MergeDropsExpired,
    /// A copy that comes replaces the one that is there.
    LastWriteWins,
    /// A copy without values is not taken.
    TombstoneIgnored,
    /// What a failed batch held of the identity is not staged again.
    NoRestage,
    /// A pass that ended before the barrier of a change counts for the filling.
    OldPassesCount,
    /// A pass with a peer that is filling counts.
    FillingProves,
    /// One pass ends the filling, whatever the quorum.
    OnePassIsEnough,
    /// A filling ends though something was lost since its end was staged.
    FullThoughLost,
    /// What a node gains by a change is not filling.
    JoinerIsFull,
    /// A leaf that is rebuilt still gets what its own batch had added.
    RebuildKeepsDeltas,
    /// If-absent does not read again after its acknowledgements.
    AbsentReadsOnce,
    /// What is no longer owned is dropped once one owner has it.
    CleanupAfterOne,
    /// An acceptor that comes back forgets what the others accepted.
    UnmuteForgets,
    /// An acceptor accepts below its promise.
    AnyBallot,
    /// A proposer does not take up what was accepted before it.
    OwnValueFirst,
    /// A proposal is accepted under a ballot that it met while others promised a lower one.
    ClimbInRound,
    /// A member leaves before its hints are handed on.
    LeaveWithHints,
    /// A barrier does not wait for writes under way.
    BarrierIsOpen,
    /// A message from two versions ago is handled as any other.
    StaleVersionTaken,
    /// A node that dropped a partition mints there again under its old actor.
    KeepActorAfterDrop,
    /// A node that found a damaged record goes on under its old actor.
    KeepActorAfterRot,
    /// A context ahead of the own counter does not end minting.
    KeepActorAfterContext,
    /// A partition is not compared with its leaves before the first mint in it.
    SkipAudit,
    /// A file behind its sidecar is taken for what it was.
    RollbackUnseen,
    /// What other nodes have met of this one is not compared.
    WitnessIgnored,
    /// A write that may have been applied is given to the next owner.
    ForwardTwice,
    /// A strict read does not look whether enough owners hold what it shows.
    StrictIsLoose,
    /// A write is minted though its time is over.
    LateMint,
    /// A hint that was spread is dropped, though its target has not got it.
    SpreadFrees,
    /// An exact write is minted beside what its context does not cover.
    ExactIsBlind,
    /// A pass proves a partition of which something was lost or struck since it began.
    OldPassProves,
    /// A driver goes on with the answers it got for another version of the ring.
    MixedDriver,
    /// What a witness says after the start is not heeded.
    LateWitness,
    /// A value has expired when this node's clock says so.
    OneClock,
    /// Records that are found missing are not kept in mind.
    LossForgotten,
    /// A scan counts an owner for a key that it cannot read.
    ScanCountsBad,
    /// A barrier does not wait for strict reads.
    BarrierSkipsReads,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 53] = [
        Self::ReuseDot,
        Self::SendBeforeCommit,
        Self::ReadPastStaged,
        Self::DropSibling,
        Self::CountFallback,
        Self::SkipOlderLayout,
        Self::CoverTooMuch,
        Self::UnreadableIsAbsent,
        Self::FillingVotes,
        Self::DropHint,
        Self::PromiseEarly,
        Self::AckEarly,
        Self::HintForgotten,
        Self::ChangedHintForgotten,
        Self::HintReplaced,
        Self::HintBesideAck,
        Self::MergeDropsExpired,
        Self::LastWriteWins,
        Self::TombstoneIgnored,
        Self::NoRestage,
        Self::OldPassesCount,
        Self::FillingProves,
        Self::OnePassIsEnough,
        Self::FullThoughLost,
        Self::JoinerIsFull,
        Self::RebuildKeepsDeltas,
        Self::AbsentReadsOnce,
        Self::CleanupAfterOne,
        Self::UnmuteForgets,
        Self::AnyBallot,
        Self::OwnValueFirst,
        Self::ClimbInRound,
        Self::LeaveWithHints,
        Self::BarrierIsOpen,
        Self::StaleVersionTaken,
        Self::KeepActorAfterDrop,
        Self::KeepActorAfterRot,
        Self::KeepActorAfterContext,
        Self::SkipAudit,
        Self::RollbackUnseen,
        Self::WitnessIgnored,
        Self::ForwardTwice,
        Self::StrictIsLoose,
        Self::LateMint,
        Self::SpreadFrees,
        Self::ExactIsBlind,
        Self::OldPassProves,
        Self::MixedDriver,
        Self::LateWitness,
        Self::OneClock,
        Self::LossForgotten,
        Self::ScanCountsBad,
        Self::BarrierSkipsReads,
    ];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in everything this thread runs from now on, or none.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.with(|p| p.set(bug));
}

/// Whether the bug is planted.
#[cfg(feature = "planted")]
#[must_use]
pub fn is(bug: Bug) -> bool {
    PLANTED.with(|p| p.get() == Some(bug))
}

#[cfg(feature = "planted")]
thread_local! {
    static HINT_BYTES: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// Has this thread's nodes keep at most so many bytes of hints: the simulator does not write the
/// gigabyte that is allowed.
#[cfg(feature = "planted")]
pub fn set_hint_bytes(most: Option<u64>) {
    HINT_BYTES.with(|h| h.set(most));
}

/// How many bytes of hints a node keeps, at most.
#[cfg(feature = "planted")]
#[must_use]
pub fn hint_bytes(most: u64) -> u64 {
    HINT_BYTES.with(std::cell::Cell::get).unwrap_or(most)
}

/// How many bytes of hints a node keeps, at most: as many as it says, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn hint_bytes(most: u64) -> u64 {
    most
}

#[cfg(feature = "planted")]
static CLOCK_MS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// Has this process take the wall clock for so many ms ahead: a static program takes no library that
/// could say so from outside.
#[cfg(feature = "planted")]
pub fn set_clock(ahead_ms: i64) {
    CLOCK_MS.store(ahead_ms, std::sync::atomic::Ordering::Relaxed);
}

/// How many ms the wall clock is ahead.
#[cfg(feature = "planted")]
#[must_use]
pub fn clock_ms() -> i64 {
    CLOCK_MS.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(feature = "planted")]
static WIRE: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(u8::MAX);

/// Has this process speak no higher wire version than this one, as an older build does.
#[cfg(feature = "planted")]
pub fn set_wire(highest: u8) {
    WIRE.store(highest, std::sync::atomic::Ordering::Relaxed);
}

/// The highest wire version this process speaks, of one that the build speaks.
#[cfg(feature = "planted")]
#[must_use]
pub fn wire(highest: u8) -> u8 {
    highest.min(WIRE.load(std::sync::atomic::Ordering::Relaxed))
}

/// The highest wire version this process speaks: that of the build.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn wire(highest: u8) -> u8 {
    highest
}

/// How many ms the wall clock is ahead: none, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn clock_ms() -> i64 {
    0
}

/// Whether the bug is planted: never, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn is(_: Bug) -> bool {
    false
}
