//! What a driver does with the actions of a node: one method each, and one place that tells them apart.
//!
//! The embedded driver, its streams and a served node are [`Driver`]s. None of them leaves an action
//! out without saying so, for the compiler asks for every method.

use super::{Action, BatchSeq, Note, Reply, Ticket};
use crate::protocol::Message;
use crate::ring::NodeId;
use crate::store::Batch;

/// What carries out the actions of one node, in the order in which it gave them.
pub trait Driver {
    /// Sends a message. It may be lost, doubled or late; a node that is down hears nothing.
    fn send(&mut self, to: NodeId, message: Message);
    /// Makes a batch durable, and says later that it is, or is not. At most one is under way.
    fn commit(&mut self, seq: BatchSeq, batch: Batch);
    /// Answers the request that came with this ticket.
    fn reply(&mut self, ticket: Ticket, reply: Reply);
    /// Passes on what a person should know.
    fn note(&mut self, note: Note);
    /// Stops the node: what is on its disk is unsure. It is asked nothing any more.
    fn stop(&mut self, why: String);
}

impl Action {
    /// Has a driver do it.
    pub fn carry_out(self, driver: &mut impl Driver) {
        match self {
            Self::Send(to, message) => driver.send(to, message),
            Self::Commit(seq, batch) => driver.commit(seq, batch),
            Self::Reply(ticket, reply) => driver.reply(ticket, reply),
            Self::Note(note) => driver.note(note),
            Self::Stop(why) => driver.stop(why),
        }
    }
}
