//! Greeting the other members, and what each remembers of how far the other's file had come; the laws
//! and the state are those of `node::witness`.

use super::Replica;
use crate::clock::Actor;
use crate::node::event::Note;
use crate::node::flow::{Ctx, OpId};
use crate::node::witness::Heard;
use crate::planted::{self, Bug};
use crate::protocol::{Body, FilePoint};
use crate::ring::NodeId;

impl Replica {
    /// Greets every member, and stops waiting when enough have answered or time is up.
    pub(in crate::node) fn greet_due(&mut self, cx: &mut Ctx<'_>) {
        let peers: Vec<_> = self.others().collect();
        let due = self.identity.witness.due(cx.now.mono_ms, &peers, &self.alive);
        self.greet(cx, due);
    }

    /// Says hello: whoever has a newer ring document is then asked for it.
    pub(in crate::node) fn greet(&mut self, cx: &mut Ctx<'_>, peers: Vec<NodeId>) {
        for peer in peers {
            let greeting = self.identity.witness.greeting();
            self.send(cx, peer, OpId::NONE, greeting);
        }
    }

    /// A node speaks: if it is a member that has not answered this life, it is greeted first.
    pub(in crate::node) fn greet_speaker(&mut self, cx: &mut Ctx<'_>, from: NodeId) {
        if from == self.id || self.identity.witness.has_answered(from) {
            return;
        }
        let member = self.doc.present().any(|m| m.id == from);
        if member && self.identity.witness.greets_speaker(cx.now.mono_ms, from) {
            self.greet(cx, vec![from]);
        }
    }

    /// Remembers how far one has come, or asks it to greet again.
    pub(in crate::node) fn remember(&mut self, cx: &mut Ctx<'_>, from: NodeId, commit: u64) {
        if self.identity.witness.asks_to_greet(cx.now.mono_ms, from, commit) {
            // No life is numbered so: it is answered with a greeting.
            let none =
                Body::Met { life: 0, met: FilePoint::default(), actor: Actor(0), counter: 0 };
            self.send(cx, from, OpId::NONE, none);
        }
    }

    /// Some have come up: they remember what comes only once they were greeted, and may know better.
    pub(in crate::node) fn greet_new(&mut self, cx: &mut Ctx<'_>, came: Vec<NodeId>) {
        if self.identity.witness.greets_new() {
            self.greet(cx, came);
        }
        self.greet_due(cx);
    }

    /// Answers a greeting, and remembers who greeted.
    pub(in crate::node) fn on_greet(
        &mut self,
        cx: &mut Ctx<'_>,
        from: NodeId,
        op: OpId,
        greeting: &Body,
    ) {
        let Body::Greet { opened, actor, epoch, life, renewed, .. } = *greeting else { return };
        let met = self.identity.witness.greeted(from, opened, (epoch, life), renewed);
        let counter = self.identity.seen_of(actor);
        self.send(cx, from, op, Body::Met { life, met, actor, counter });
    }

    /// A witness says how far it had met this node.
    pub(in crate::node) fn on_met(
        &mut self,
        cx: &mut Ctx<'_>,
        from: NodeId,
        (life, met): (u64, FilePoint),
        (actor, counter): (Actor, u64),
    ) {
        match self.identity.witness.is_behind(life, met) {
            None => self.greet(cx, vec![from]),
            Some(behind) => {
                let lost = behind || counter > self.identity.minted_by(actor);
                self.hear(cx, from, lost, met);
            }
        }
    }

    /// The same of an older build, which knows actors and commits alone.
    pub(in crate::node) fn on_seen(
        &mut self,
        cx: &mut Ctx<'_>,
        from: NodeId,
        (actor, counter, commit): (Actor, u64, u64),
    ) {
        let minted = counter > self.identity.minted_by(actor);
        let acknowledged = actor == self.identity.actor && commit > cx.store.commit_number();
        self.hear(cx, from, minted || acknowledged, FilePoint::default());
    }

    fn hear(&mut self, cx: &mut Ctx<'_>, from: NodeId, lost: bool, met: FilePoint) {
        let late = planted::is(Bug::LateWitness) && !self.identity.is_waiting();
        let lost = lost && !late && !planted::is(Bug::WitnessIgnored);
        let others = self.others().collect();
        match self.identity.witness.judge(lost, met) {
            Heard::NoNews => {}
            Heard::Lost => {
                let why = "another node has seen later writes of this one: its file is older";
                let owned = self.doc.owned(self.id);
                self.identity.lose_all(met.epoch, owned);
                cx.note(Note::Lost(why.into()));
                self.greet(cx, others);
            }
            Heard::Further => {
                self.identity.begin_life(met.epoch);
                self.greet(cx, others);
            }
        }
        // What began a new life has not been answered in it; the witness that said so has been heard.
        self.identity.witness.heard(from);
        self.greet_due(cx);
    }
}
