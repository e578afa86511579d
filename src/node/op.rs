//! The operations of a node, one file each: values that wait for others and are woken by a step.
//!
//! ```text
//! forward  finds the coordinator of a write     put   coordinates it        minted   what it made
//! get      coordinates a read of a key          scan  the same of a page
//! repair   one pass after the other             pass  compares two copies and mends both
//! handoff  hints go to where they belong        change  drives a change of the ring
//! propose  has the next ring document chosen    regain  an acceptor asks for its vote back
//! ```
//!
//! Each has `begin` and a `step`, reads and changes the [`Replica`], and returns a [`Flow`]. No operation
//! knows another: one that needs another starts it ([`Start`]) and is woken by its end.

mod change;
mod forward;
mod get;
mod handoff;
mod minted;
mod pass;
mod propose;
mod put;
mod regain;
mod repair;
mod route;
mod scan;

use super::event::Transfer;
use super::flow::{Ctx, Flow, OlderWork, Start, Wake};
use super::replica::Replica;

/// An operation under way.
pub(super) enum Operation {
    Forward(Box<forward::Forward>),
    Put(Box<put::Put>),
    Get(Box<get::Get>),
    Scan(Box<scan::Scan>),
    Repair(Box<repair::Repair>),
    Pass(Box<pass::Pass>),
    Handoff(Box<handoff::Handoff>),
    Propose(Box<propose::Propose>),
    Regain(Box<regain::Regain>),
    Advance(Box<change::Advance>),
}

impl Operation {
    /// Begins an operation.
    pub(super) fn begin(start: Start, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Self> {
        match start {
            Start::Forward(request) => {
                forward::Forward::begin(node, cx, request).map(Self::Forward)
            }
            Start::Put(request) => put::Put::begin(node, cx, request).map(Self::Put),
            Start::Get(key, options) => get::Get::begin(node, cx, key, options).map(Self::Get),
            Start::Scan(page, options) => {
                scan::Scan::begin(node, cx, page, options).map(Self::Scan)
            }
            Start::Repair(request) => repair::Repair::begin(node, cx, &request).map(Self::Repair),
            Start::Cleanup => repair::Repair::begin_cleanup(node, cx).map(Self::Repair),
            Start::Pass(peer, scope) => pass::Pass::begin(node, cx, peer, scope).map(Self::Pass),
            Start::Handoff(to) => handoff::Handoff::begin(node, cx, to).map(Self::Handoff),
            Start::Propose(doc) => propose::Propose::begin(node, cx, *doc).map(Self::Propose),
            Start::Advance => change::Advance::begin(node, cx).map(Self::Advance),
            Start::Regain => regain::Regain::begin(node, cx).map(Self::Regain),
        }
    }

    /// Wakes it.
    pub(super) fn step(self, node: &mut Replica, cx: &mut Ctx<'_>, wake: Wake) -> Flow<Self> {
        match self {
            Self::Forward(op) => op.step(node, cx, wake).map(Self::Forward),
            Self::Put(op) => op.step(node, cx, wake).map(Self::Put),
            Self::Get(op) => op.step(node, cx, wake).map(Self::Get),
            Self::Scan(op) => op.step(node, cx, wake).map(Self::Scan),
            Self::Repair(op) => op.step(node, cx, wake).map(Self::Repair),
            Self::Pass(op) => op.step(node, cx, wake).map(Self::Pass),
            Self::Handoff(op) => op.step(node, cx, wake).map(Self::Handoff),
            Self::Propose(op) => op.step(node, cx, wake).map(Self::Propose),
            Self::Advance(op) => op.step(node, cx, wake).map(Self::Advance),
            Self::Regain(op) => op.step(node, cx, wake).map(Self::Regain),
        }
    }

    /// Whether it may still write, or answer a strict read, by a document older than this version.
    pub(super) fn older_work(&self, version: u64) -> OlderWork {
        match self {
            Self::Put(put) => put.older_work(version),
            Self::Get(get) => get.older_work(version),
            _ => OlderWork::None,
        }
    }

    /// Whether it is a write that has still to be answered.
    pub(super) fn is_open_write(&self) -> bool {
        match self {
            Self::Put(put) => !put.is_answered(),
            Self::Forward(_) => true,
            _ => false,
        }
    }

    /// The version of the ring document a write began under.
    #[cfg(feature = "planted")]
    pub(super) fn write_version(&self) -> Option<u64> {
        match self {
            Self::Put(put) => Some(put.version()),
            _ => None,
        }
    }

    /// What data it moves.
    pub(super) fn transfer(&self, mono_ms: u64) -> Option<Transfer> {
        match self {
            Self::Pass(pass) => Some(pass.transfer(mono_ms)),
            Self::Handoff(handoff) => handoff.transfer(mono_ms),
            _ => None,
        }
    }
}
