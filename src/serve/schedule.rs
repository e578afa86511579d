//! When each maintenance job is due, and under which ticket it runs.
//!
//! ```text
//! hints  due 12.0 s, ticket 41 running      sync  due 60.3 s      fill  due 5.1 s      ...
//! ```
//!
//! One run of each job at a time: a job that runs is not due. It starts nothing; `maintenance` decides
//! what is wanted, `core` hands it to the node.

use std::collections::BTreeMap;

use super::id::Ticket;

/// What a node does by itself through its state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MaintenanceJob {
    /// Hand hints to their targets.
    DeliverHints,
    /// Copy old hints to the owners that are up.
    Rehint,
    /// Fill partitions that are not full.
    Fill,
    /// Compare totals with every peer.
    Sync,
    /// Drop records that this node does not own any more.
    Cleanup,
    /// Drive a change of the ring that nobody else drives.
    RingDriver,
    /// Read a slice of the file and check it.
    Scrub,
}

#[derive(Clone, Copy, Default)]
struct JobState {
    /// None until it is set: due at once.
    due_ms: Option<u64>,
    running: Option<Ticket>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Schedule(BTreeMap<MaintenanceJob, JobState>);

impl Schedule {
    /// Whether a job does not run and its time has come.
    pub(super) fn is_due(&self, job: MaintenanceJob, now_ms: u64) -> bool {
        let entry = self.entry(job);
        entry.running.is_none() && entry.due_ms.is_none_or(|due_ms| now_ms >= due_ms)
    }

    /// Whether it was ever set when a job is due.
    pub(super) fn is_set(&self, job: MaintenanceJob) -> bool {
        self.entry(job).due_ms.is_some()
    }

    /// Sets when a job is due next.
    pub(super) fn set(&mut self, job: MaintenanceJob, due_ms: u64) {
        self.0.entry(job).or_default().due_ms = Some(due_ms);
    }

    /// Makes a job due at once.
    pub(super) fn hurry(&mut self, job: MaintenanceJob) {
        self.0.entry(job).or_default().due_ms = None;
    }

    /// Whether a job runs.
    pub(super) fn is_running(&self, job: MaintenanceJob) -> bool {
        self.entry(job).running.is_some()
    }

    /// A job has begun under this ticket.
    pub(super) fn start(&mut self, job: MaintenanceJob, ticket: Ticket) {
        let running = self.0.entry(job).or_default().running.replace(ticket);
        debug_assert!(running.is_none(), "{job:?} runs once at a time");
    }

    /// The job of this ticket has ended; none when the ticket is no job's.
    pub(super) fn finish(&mut self, ticket: Ticket) -> Option<MaintenanceJob> {
        let (job, entry) = self.0.iter_mut().find(|(_, e)| e.running == Some(ticket))?;
        entry.running = None;
        Some(*job)
    }

    fn entry(&self, job: MaintenanceJob) -> JobState {
        self.0.get(&job).copied().unwrap_or_default()
    }
}

/// Something that happens over and over, at least this far apart.
pub(super) struct PeriodicTimer {
    period_ms: u64,
    due_ms: u64,
}

impl PeriodicTimer {
    pub(super) fn new(period_ms: u64) -> Self {
        Self { period_ms, due_ms: 0 }
    }

    /// Whether it is due now; it then counts as done.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        let due = now_ms >= self.due_ms;
        if due {
            self.due_ms = now_ms + self.period_ms;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_runs_is_not_due_and_ends_with_its_ticket() {
        let mut schedule = Schedule::default();
        assert!(schedule.is_due(MaintenanceJob::Sync, 0) && !schedule.is_set(MaintenanceJob::Sync));
        schedule.set(MaintenanceJob::Sync, 10);
        assert!(
            !schedule.is_due(MaintenanceJob::Sync, 9) && schedule.is_due(MaintenanceJob::Sync, 10)
        );
        schedule.start(MaintenanceJob::Sync, Ticket(4));
        assert!(
            !schedule.is_due(MaintenanceJob::Sync, 10) && schedule.is_running(MaintenanceJob::Sync)
        );
        assert_eq!(schedule.finish(Ticket(5)), None);
        assert_eq!(schedule.finish(Ticket(4)), Some(MaintenanceJob::Sync));
        assert!(schedule.is_due(MaintenanceJob::Sync, 10));
        schedule.set(MaintenanceJob::Sync, 99);
        schedule.hurry(MaintenanceJob::Sync);
        assert!(schedule.is_due(MaintenanceJob::Sync, 0));
    }

    #[test]
    fn what_comes_again_is_due_once_in_its_period() {
        let mut every = PeriodicTimer::new(5);
        assert!(every.is_due(0) && !every.is_due(4) && every.is_due(7) && !every.is_due(11));
    }
}
