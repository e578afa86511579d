//! What one seed draws: a ring, a workload, its own mix of faults, and which promises then hold.
//!
//! Every seed takes another subset of faults at another strength (swarm testing): a seed with cuts
//! alone reaches states that a seed with everything at once never does.

use super::world::{Net, Rng};

/// How a seed's operations choose their quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Strict,
    Sloppy,
    Mixed,
}

/// What a seed is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Any,
    /// One change of the ring after the other, strict quorums, cuts.
    Ring,
    /// Copies are lost, sloppy quorums, nodes are down.
    Loss,
}

/// One thing that goes wrong, or is done to the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Cut,
    Isolate,
    Mend,
    Crash,
    Strike,
    Breakdown,
    FullDisk,
    ZoneDown,
    Restore,
    RestoreSilently,
    Replace,
    Lose,
    Rot,
    Skew,
    Join,
    Leave,
    Weight,
}

impl Fault {
    const ALL: [(Self, &'static str, u64); 17] = [
        (Self::Cut, "cut", 8),
        (Self::Isolate, "isolated", 3),
        (Self::Mend, "mended", 8),
        (Self::Crash, "crashed", 8),
        (Self::Strike, "struck", 8),
        (Self::Breakdown, "disk broke", 2),
        (Self::FullDisk, "disk full", 3),
        (Self::ZoneDown, "zone down", 1),
        (Self::Restore, "restored", 5),
        (Self::RestoreSilently, "restored with sidecar", 5),
        (Self::Replace, "replaced", 4),
        (Self::Lose, "record lost", 5),
        (Self::Rot, "record rotted", 8),
        (Self::Skew, "clock jumped", 2),
        (Self::Join, "joined", 4),
        (Self::Leave, "left", 4),
        (Self::Weight, "weight changed", 4),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|f| f.0 == self).map_or("", |f| f.1)
    }

    /// Whether a copy of acknowledged data is gone after it.
    pub fn is_lossy(self) -> bool {
        use Fault::{Lose, Replace, Restore, RestoreSilently, Rot};
        matches!(self, Restore | RestoreSilently | Replace | Lose | Rot)
    }

    /// Whether it changes the ring.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Replace | Self::Join | Self::Leave | Self::Weight)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: Vec<(String, String)>,
    pub n: u8,
    pub w: Option<u8>,
    pub r: Option<u8>,
    pub mode: Mode,
    pub keys: Vec<String>,
    pub clients: usize,
    pub pace_ms: u64,
    /// Weights of: get, context put, overwrite, blind, if-absent, delete.
    pub mix: [u64; 6],
    pub faults: Vec<(Fault, u64)>,
    pub fault_ms: u64,
    pub net: Net,
    pub commit_ms: (u64, u64),
    pub lying: bool,
    /// How long a node stays down, at most.
    pub down_ms: u64,
    pub repair_ms: u64,
    pub shepherd_ms: u64,
    pub rounds: usize,
    pub round_ms: u64,
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let rng = &mut Rng(seed ^ 0x5eed_0f51_3000_0000);
        let theme = *rng.pick(&[Theme::Any, Theme::Ring, Theme::Loss]).expect("a list");
        let count = *rng.pick(&[1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7]).expect("a list");
        let count = if theme == Theme::Any { count } else { count.max(3) };
        let zones = rng.within(1, 3);
        let nodes = (1..=count).map(|i| (format!("n{i}"), format!("z{}", rng.below(zones))));
        let nodes: Vec<_> = nodes.collect();
        let n = if rng.chance(500) { count.min(3) } else { rng.within(1, count.min(5)) };
        let odds = if theme == Theme::Any { 350 } else { 150 };
        let quorum = |rng: &mut Rng| rng.chance(odds).then(|| rng.within(1, n) as u8);
        let (w, r) = (quorum(rng), quorum(rng));
        let modes = match theme {
            Theme::Any => [Mode::Strict, Mode::Sloppy, Mode::Mixed],
            Theme::Ring => [Mode::Strict, Mode::Strict, Mode::Mixed],
            Theme::Loss => [Mode::Strict, Mode::Sloppy, Mode::Mixed],
        };
        let keys = (0..rng.within(1, 6)).map(|i| format!("k{i}")).collect();
        let mix = [6, 6, 4, 3, 2, 2].map(|most| rng.within(u64::from(most > 4), most));
        let round_ms = rng.within(30_000, 160_000);
        Self {
            nodes,
            n: n as u8,
            w,
            r,
            mode: *rng.pick(&modes).expect("a list"),
            keys,
            clients: rng.within(1, 4) as usize,
            pace_ms: rng.within(300, if theme == Theme::Any { 3_000 } else { 1_200 }),
            mix,
            faults: Self::faults(rng, theme),
            fault_ms: rng.within(1_000, if theme == Theme::Ring { 4_000 } else { 12_000 }),
            down_ms: *rng.pick(&[3_000, 20_000, 90_000]).expect("a list"),
            net: Self::net(rng),
            commit_ms: (1, *rng.pick(&[2, 10, 60, 400]).expect("a list")),
            lying: rng.chance(300),
            repair_ms: *rng.pick(&[4_000, 20_000, 100_000]).expect("a list"),
            shepherd_ms: *rng.pick(&[2_000, 8_000, 25_000]).expect("a list"),
            rounds: (600_000 / round_ms) as usize + 1,
            round_ms,
        }
    }

    /// Each kind of fault with two chances in five, those of the theme always.
    fn faults(rng: &mut Rng, theme: Theme) -> Vec<(Fault, u64)> {
        let mut faults: Vec<_> = Vec::new();
        for (fault, _, weight) in Fault::ALL {
            let themed = match theme {
                Theme::Any => fault == Fault::Mend,
                Theme::Ring => {
                    let also = matches!(fault, Fault::Cut | Fault::Strike | Fault::Mend);
                    also || fault.is_change() && fault != Fault::Replace
                }
                Theme::Loss => {
                    matches!(fault, Fault::Restore | Fault::Rot | Fault::Crash | Fault::Mend)
                }
            };
            let odds = if theme == Theme::Any { 400 } else { 150 };
            if themed || rng.chance(odds) {
                faults.push((fault, weight));
            }
        }
        faults
    }

    fn net(rng: &mut Rng) -> Net {
        let some = |rng: &mut Rng, most| if rng.chance(500) { rng.within(1, most) } else { 0 };
        Net {
            delay_ms: (1, *rng.pick(&[3, 20, 150]).expect("a list")),
            lose_permille: some(rng, 100),
            double_permille: some(rng, 100),
            late_permille: some(rng, 80),
            late_ms: rng.within(100, 9_000),
        }
    }

    pub fn majority(&self) -> u64 {
        u64::from(self.n) / 2 + 1
    }

    pub fn w(&self) -> u64 {
        self.w.map_or(self.majority(), u64::from)
    }

    pub fn r(&self) -> u64 {
        self.r.map_or(self.majority(), u64::from)
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|f| f.0 == fault)
    }

    /// Neither copies are lost nor owners change.
    fn is_calm(&self) -> bool {
        !self.faults.iter().any(|f| f.0.is_lossy() || f.0.is_change())
    }

    /// A strict read sees every write acknowledged by strict quorums before it began.
    ///
    /// After a loss or a change an owner is filled by the ring's own W, so a smaller one is not
    /// enough. A record that vanished without a trace is a vote like any other until it is found.
    pub fn reads_see_writes(&self) -> bool {
        let meets = self.r() + self.w() > u64::from(self.n);
        meets && !self.has(Fault::Lose) && (self.is_calm() || self.w() >= self.majority())
    }

    /// A strict read sees what earlier strict reads saw.
    pub fn reads_see_reads(&self) -> bool {
        !self.has(Fault::Lose) && (self.is_calm() || self.r() <= self.majority())
    }

    /// How many copies may be lost between two complete repairs.
    pub fn budget(&self) -> u64 {
        let by_writes = self.w() - 1;
        by_writes.min(u64::from(self.n) - self.r())
    }
}
