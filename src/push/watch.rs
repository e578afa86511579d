//! What is heard while hosts are worked on.
//!
//! ```text
//! n1  begins: uploading  ──>  4 MiB of 9 MiB  ──>  done: uploaded kvs 0.1.0
//! n2  failed: it cannot be reached
//! ```
//!
//! The library never prints: a terminal and a file of a run are such listeners.

/// Hears what is done, on which host.
pub trait Watch: Sync {
    /// A step has begun, ended, or something is to be known.
    fn note(&self, host: &str, event: &PushEvent);
    /// Whether to stop after what has been begun: the first ctrl-C.
    fn stops(&self) -> bool {
        false
    }
}

/// What is heard of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushEvent {
    /// A step begins: "uploading".
    Begins(String),
    /// So many of so many bytes of it are done.
    Bytes(u64, u64),
    /// It has ended: "uploaded 12 MiB".
    Done(String),
    /// Something to be known that stops nothing.
    Warning(String),
    /// The host is given up, and why.
    Failed(String),
}
