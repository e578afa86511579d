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
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 10] = [
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
