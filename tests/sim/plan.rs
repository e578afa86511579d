//! What a seed draws: a ring, a workload, its own mix of faults, and which promises then hold.
//!
//! Every seed takes another subset of faults at another strength (swarm testing): a seed with cuts
//! alone reaches states that a seed with everything at once never does.

use crate::support::world::{Net, Rng};

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
    /// Members are away for long and often: hints are made, spread and delivered.
    Hints,
}

/// One thing that goes wrong, or is done to the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Cut,
    Isolate,
    Mend,
    Crash,
    Strike,
    Freeze,
    Relink,
    Breakdown,
    FullDisk,
    ZoneDown,
    Restore,
    RestoreSilently,
    Replace,
    Remove,
    Lose,
    Rot,
    RotKey,
    RotTerm,
    RotHint,
    RotSum,
    RotRing,
    RotIdentity,
    Skew,
    Join,
    Leave,
    Weight,
}

impl Fault {
    const ALL: [(Self, &'static str, u64); 26] = [
        (Self::Cut, "cut", 8),
        (Self::Isolate, "isolated", 3),
        (Self::Mend, "mended", 8),
        (Self::Crash, "crashed", 8),
        (Self::Strike, "struck", 8),
        (Self::Freeze, "frozen", 5),
        (Self::Relink, "relinked", 3),
        (Self::Breakdown, "disk broke", 2),
        (Self::FullDisk, "disk full", 3),
        (Self::ZoneDown, "zone down", 1),
        (Self::Restore, "restored", 5),
        (Self::RestoreSilently, "restored with sidecar", 5),
        (Self::Replace, "replaced", 4),
        (Self::Remove, "removed", 2),
        (Self::Lose, "record lost", 5),
        (Self::Rot, "record rotted", 8),
        (Self::RotKey, "key rotted", 3),
        (Self::RotTerm, "term rotted", 3),
        (Self::RotHint, "hint rotted", 4),
        (Self::RotSum, "sum rotted", 4),
        (Self::RotRing, "ring row rotted", 3),
        (Self::RotIdentity, "identity rotted", 2),
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
        use Fault::{
            Lose, Remove, Replace, Restore, RestoreSilently, Rot, RotHint, RotIdentity, RotKey,
            RotRing, RotSum, RotTerm,
        };
        matches!(self, Restore | RestoreSilently | Replace | Remove | Lose | Rot)
            || matches!(self, RotKey | RotTerm | RotHint | RotSum | RotRing | RotIdentity)
    }

    /// Whether a copy may be less than it claims until somebody reads all of it.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Lose | Self::RotKey)
    }

    /// Whether an acceptor may have forgotten something after it.
    pub fn is_doubt(self) -> bool {
        use Fault::{RotIdentity, RotRing};
        let whole = matches!(self, Self::Restore | Self::RestoreSilently);
        whole || matches!(self, RotRing | RotIdentity | Self::Replace | Self::Remove)
    }

    /// Whether it changes the ring.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Replace | Self::Remove | Self::Join | Self::Leave | Self::Weight)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: Vec<(String, String)>,
    pub n: u8,
    pub q: u32,
    /// The W and R that operations choose from.
    pub quorums: Vec<(Option<u8>, Option<u8>)>,
    pub mode: Mode,
    pub keys: Vec<String>,
    pub clients: usize,
    pub pace_ms: u64,
    /// Weights of: get, context put, overwrite, blind, if-absent, delete, scan, exact put.
    pub mix: [u64; 8],
    /// Items of one request, at most.
    pub items: u64,
    /// Bytes of a value now and then, at most.
    pub large: u64,
    /// So many of a thousand values expire.
    pub ttl_permille: u64,
    /// Bytes of hints that a node keeps, at most.
    pub hint_bytes: Option<u64>,
    /// Levels and zones instead of numbers, now and then.
    pub levels: bool,
    pub faults: Vec<(Fault, u64)>,
    pub fault_ms: u64,
    pub net: Net,
    pub commit_ms: (u64, u64),
    pub lying: bool,
    /// Failure detectors and links as a served node has them; with it, whether cuts keep messages
    /// and whether order is kept.
    pub links: Option<(bool, bool)>,
    /// Every command is a process of its own, over all directories.
    pub commands: bool,
    pub tick_ms: (u64, u64),
    /// Wall clocks are apart by up to this.
    pub apart_ms: u64,
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
        // To look at a seed's other findings: KVS_SIM_WITHOUT=Lose,Rot
        let without = std::env::var("KVS_SIM_WITHOUT").unwrap_or_default();
        let themes = [Theme::Any, Theme::Ring, Theme::Loss, Theme::Hints];
        let theme = *rng.pick(&themes).expect("a list");
        let count = *rng.pick(&[1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7]).expect("a list");
        let count = match theme {
            Theme::Any => count,
            Theme::Hints => count.max(4),
            _ => count.max(3),
        };
        let zones = rng.within(1, 3);
        let nodes = (1..=count).map(|i| (format!("n{i}"), format!("z{}", rng.below(zones))));
        let nodes: Vec<_> = nodes.collect();
        let n = if rng.chance(500) { count.min(3) } else { rng.within(1, count.min(5)) };
        let n = if theme == Theme::Hints { n.min(count - 1).max(2) } else { n };
        let odds = if theme == Theme::Any { 350 } else { 150 };
        let quorum = |rng: &mut Rng| rng.chance(odds).then(|| rng.within(1, n) as u8);
        let quorums = (0..rng.within(1, 2)).map(|_| (quorum(rng), quorum(rng))).collect();
        let modes = match theme {
            Theme::Any => [Mode::Strict, Mode::Sloppy, Mode::Mixed],
            Theme::Ring => [Mode::Strict, Mode::Strict, Mode::Mixed],
            Theme::Loss => [Mode::Strict, Mode::Sloppy, Mode::Mixed],
            Theme::Hints => [Mode::Sloppy, Mode::Sloppy, Mode::Mixed],
        };
        let keys = if rng.chance(700) { rng.within(1, 6) } else { rng.within(7, 40) };
        let mix = [6, 6, 4, 3, 2, 2, 2, 4].map(|most| rng.within(u64::from(most > 4), most));
        let round_ms = rng.within(30_000, 160_000);
        let wide = rng.chance(300);
        Self {
            nodes,
            n: n as u8,
            q: if wide { *rng.pick(&[16, 32, 64]).expect("a list") } else { 8 },
            quorums,
            mode: *rng.pick(&modes).expect("a list"),
            keys: (0..keys).map(|i| format!("k{i}")).collect(),
            clients: rng.within(1, 4) as usize,
            pace_ms: rng.within(300, if theme == Theme::Any { 3_000 } else { 1_200 }),
            mix,
            items: *rng.pick(&[1, 1, 1, 2, 4]).expect("a list"),
            large: *rng.pick(&[0, 0, 0, 0, 0, 0, 0, 2_000, 2_000, 400_000]).expect("a list"),
            ttl_permille: *rng.pick(&[0, 0, 300]).expect("a list"),
            hint_bytes: rng.chance(150).then(|| rng.within(0, 2_000)),
            levels: rng.chance(150),
            faults: Self::faults(rng, theme)
                .into_iter()
                .filter(|f| !without.split(',').any(|w| w == format!("{:?}", f.0)))
                .collect(),
            fault_ms: rng.within(1_000, if theme == Theme::Ring { 4_000 } else { 12_000 }),
            down_ms: *rng.pick(&[3_000, 20_000, 90_000]).expect("a list"),
            net: Self::net(rng),
            commit_ms: (1, *rng.pick(&[2, 10, 60, 400]).expect("a list")),
            lying: rng.chance(300),
            links: rng.chance(450).then(|| (rng.chance(600), rng.chance(500))),
            commands: rng.chance(100),
            tick_ms: *rng.pick(&[(200, 200), (50, 1_000), (400, 400)]).expect("a list"),
            apart_ms: *rng.pick(&[0, 500, 100_000]).expect("a list"),
            repair_ms: *rng.pick(&[4_000, 20_000, 100_000]).expect("a list"),
            shepherd_ms: *rng.pick(&[2_000, 8_000, 25_000]).expect("a list"),
            rounds: (600_000 / round_ms) as usize + 1,
            round_ms,
        }
    }

    /// Each kind of fault with two chances in five, those of the theme always.
    fn faults(rng: &mut Rng, theme: Theme) -> Vec<(Fault, u64)> {
        let mut faults: Vec<_> = Vec::new();
        // A copy that lies in hiding takes promises away: most seeds are without.
        let hidden = rng.chance(300);
        for (fault, _, weight) in Fault::ALL {
            let themed = match theme {
                Theme::Any => fault == Fault::Mend,
                Theme::Ring => {
                    let also = matches!(fault, Fault::Cut | Fault::Strike | Fault::Mend);
                    let change = fault.is_change() && fault != Fault::Replace;
                    also || change && fault != Fault::Remove
                }
                Theme::Loss => {
                    matches!(fault, Fault::Restore | Fault::Rot | Fault::Crash | Fault::Mend)
                }
                Theme::Hints => {
                    matches!(fault, Fault::Crash | Fault::Isolate | Fault::Mend | Fault::Strike)
                }
            };
            let odds = if theme == Theme::Any { 350 } else { 150 };
            if themed || rng.chance(odds) && (hidden || !fault.is_hidden()) {
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

    /// The least W of its quorums.
    pub fn w(&self) -> u64 {
        let w = self.quorums.iter().map(|q| q.0.map_or(self.majority(), u64::from));
        if self.levels { 1 } else { w.min().unwrap_or(1) }
    }

    /// The greatest R of its quorums.
    pub fn r(&self) -> u64 {
        let r = self.quorums.iter().map(|q| q.1.map_or(self.majority(), u64::from));
        if self.levels { u64::from(self.n) } else { r.max().unwrap_or(1) }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|f| f.0 == fault)
    }

    /// Neither copies are lost nor owners change.
    fn is_calm(&self) -> bool {
        !self.faults.iter().any(|f| f.0.is_lossy() || f.0.is_change())
    }

    /// No copy is less than it claims.
    pub fn is_open(&self) -> bool {
        !self.faults.iter().any(|f| f.0.is_hidden())
    }

    /// A read of R votes sees every write that W owners acknowledged before it began.
    ///
    /// After a loss or a change an owner is filled by the ring's own W, so a smaller one is not
    /// enough. A record that vanished without a trace is a vote like any other until it is found.
    pub fn sees_write(&self, r: u64, w: u64) -> bool {
        r + w > u64::from(self.n) && self.is_open() && (self.is_calm() || w >= self.majority())
    }

    /// A strict read of `now` votes sees what an earlier strict read of `r` votes saw.
    pub fn sees_read(&self, now: u64, r: u64) -> bool {
        now >= r && self.is_open() && (self.is_calm() || r <= self.majority())
    }

    /// How many copies may be lost between two complete repairs.
    pub fn budget(&self) -> u64 {
        let by_writes = self.w() - 1;
        by_writes.min(u64::from(self.n) - self.r())
    }
}
