//! What happens when a mapped file turns out to be damaged while it is read.
//!
//! A page that lies beyond the end of the file ends in SIGBUS, a wrong pointer in a damaged page in
//! SIGSEGV, and LMDB's own assertions in SIGABRT. None of them can be turned into an error, but the
//! process can say which file it was, what to do, and exit 8:
//!
//! ```text
//! guard(path, len) --------------> slot 3: 0x7e00…..0x7f00…, "/srv/n2/data.mdb"
//! a fault at 0x7e00…42 ----------> in slot 3: name the file, _exit(8)
//! any of them in a call to LMDB -> the file of that call: name it, _exit(8)
//! … while a batch is written ----> the same, and _exit(5): it may be there or not
//! a fault elsewhere -------------> the handler that was there before (Rust's, or the system's)
//! ```
//!
//! The handler only reads atomics and calls write(2) and _exit(2). Caveats: LMDB does not tell where
//! it maps a file, so the address comes from `/proc/self/maps`; without one, only faults within
//! calls to LMDB are blamed on the file. Beyond [`SLOTS_MAX`] open files none is.

use std::cell::Cell;
use std::ffi::c_int;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use super::preflight::replace;

/// 127 maps of 1 TiB are all that 47 bits of address space hold; smaller maps may be more.
const SLOTS_MAX: usize = 256;
/// The exit code of damaged data, part of the contract with scripts.
pub const FAULT_CODE: c_int = 8;
/// And of a write of which nobody knows whether it was applied.
pub const UNKNOWN_CODE: c_int = 5;
const SIGNALS: [c_int; 3] = [libc::SIGBUS, libc::SIGSEGV, libc::SIGABRT];

const HEAD: &str = "kvs: the file ";
const TAIL: &str = " is damaged or was cut short; what was not yet committed is lost, the rest of the \
    file is unchanged";
/// Other copies may have what this one lost.
const WRITING: &str = "kvs: what was being written may have been applied, or not\n";

/// One mapped file. Free when `end` is 0.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    /// What is said of its file: its path, and the way out.
    text: AtomicPtr<u8>,
    text_len: AtomicUsize,
}

static SLOTS: [Slot; SLOTS_MAX] = [const {
    Slot {
        start: AtomicUsize::new(usize::MAX),
        end: AtomicUsize::new(0),
        text: AtomicPtr::new(ptr::null_mut()),
        text_len: AtomicUsize::new(0),
    }
}; SLOTS_MAX];

/// The handlers that were there before ours.
static BEFORE: [OnceLock<libc::sigaction>; 3] = [const { OnceLock::new() }; 3];

thread_local! {
    /// The slot whose file this thread is inside LMDB for, plus 1.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
    /// Whether it is writing.
    static WRITING_NOW: Cell<bool> = const { Cell::new(false) };
}

/// Keeps what is said of a mapped file for the handler.
#[derive(Debug)]
pub(super) struct Guard {
    slot: Option<usize>,
    /// What the slot points to.
    _text: Box<[u8]>,
}

impl Guard {
    pub(super) fn new(path: &Path, len: usize) -> Self {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(install);
        // An empty range at the top matches nothing.
        let start = find_map(path, len).unwrap_or(usize::MAX);
        let way_out = format!("{TAIL}\n  {}\n", replace(path));
        let text = [path.as_os_str().as_encoded_bytes(), way_out.as_bytes()].concat().into();
        let text: Box<[u8]> = text;
        let free = |slot: &Slot| {
            let (order, end) = (Ordering::SeqCst, start.saturating_add(len));
            slot.end.compare_exchange(0, end, order, order).is_ok()
        };
        // `start` stays above every address until the slot is filled, so it matches nothing.
        let slot = SLOTS.iter().position(free);
        if let Some(slot) = slot.map(|i| &SLOTS[i]) {
            slot.text_len.store(text.len(), Ordering::SeqCst);
            slot.text.store(text.as_ptr().cast_mut(), Ordering::SeqCst);
            slot.start.store(start, Ordering::SeqCst);
        }
        Self { slot, _text: text }
    }

    /// Runs a call into LMDB; its assertions are then blamed on this file.
    pub(super) fn inside<T>(&self, call: impl FnOnce() -> T) -> T {
        let before = INSIDE.replace(self.slot.map_or(0, |slot| slot + 1));
        let result = call();
        INSIDE.set(before);
        result
    }

    /// As [`Guard::inside`], of a call that makes a batch durable.
    pub(super) fn writing<T>(&self, call: impl FnOnce() -> T) -> T {
        let before = WRITING_NOW.replace(true);
        let result = self.inside(call);
        WRITING_NOW.set(before);
        result
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.map(|i| &SLOTS[i]) {
            slot.start.store(usize::MAX, Ordering::SeqCst);
            slot.text.store(ptr::null_mut(), Ordering::SeqCst);
            slot.end.store(0, Ordering::SeqCst);
        }
    }
}

/// Where the system has put the map of a file: the one of its length, and of its inode or (layered
/// file systems have inodes of two kinds) its name, that is not taken.
fn find_map(path: &Path, len: usize) -> Option<usize> {
    let inode = path.metadata().ok()?.ino().to_string();
    let name = path.canonicalize().ok()?;
    let name = name.to_str().unwrap_or("no such name");
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        // 7f00deadb000-7f01deadb000 r--s 00000000 fe:00 393228    /srv/n2/data.mdb
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (start, end) = (hex(start)?, hex(end)?);
        let taken = || SLOTS.iter().any(|slot| slot.start.load(Ordering::SeqCst) == start);
        let is_file = words.nth(3)? == inode || line.ends_with(name);
        (is_file && end - start == len && !taken()).then_some(start)
    })
}

fn hex(text: &str) -> Option<usize> {
    usize::from_str_radix(text, 16).ok()
}

#[expect(
    unsafe_code,
    reason = "sigaction takes a function and plain structs that live on the stack"
)]
fn install() {
    // A limit on file sizes (`ulimit -f`) is then an error of the write, like a full disk.
    // SAFETY: ignoring a signal needs no handler.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
    for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle;
        // SAFETY: both structs are valid for the call, and the handler is async-signal-safe.
        unsafe {
            let mut new: libc::sigaction = std::mem::zeroed();
            let mut old: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = handler as usize;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut new.sa_mask);
            if libc::sigaction(signal, ptr::null(), &raw mut old) == 0 {
                before.get_or_init(|| old);
                libc::sigaction(signal, &raw const new, ptr::null_mut());
            }
        }
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let of_map = fault_address(info).filter(|_| signal != libc::SIGABRT).and_then(|address| {
        SLOTS.iter().position(|slot| {
            let (start, end) = (&slot.start, &slot.end);
            start.load(Ordering::SeqCst) <= address && address < end.load(Ordering::SeqCst)
        })
    });
    let slot = of_map.or_else(|| INSIDE.get().checked_sub(1));
    match slot.and_then(|i| SLOTS.get(i)) {
        Some(slot) => die(slot),
        None => hand_back(signal, info),
    }
}

/// Where memory was touched; `None` for a signal that another process sent.
#[expect(unsafe_code, reason = "the system passes a pointer to what it knows of a signal")]
fn fault_address(info: *mut libc::siginfo_t) -> Option<usize> {
    // SAFETY: with SA_SIGINFO the pointer is valid during the handler; si_addr is set by faults,
    // whose si_code is above 0.
    unsafe { ((*info).si_code > 0).then(|| (*info).si_addr() as usize) }
}

/// Says which file it was, and ends.
#[expect(unsafe_code, reason = "write(2) and _exit(2) are all a signal handler may call")]
fn die(slot: &Slot) -> ! {
    let text = slot.text.load(Ordering::SeqCst);
    let text_len = if text.is_null() { 0 } else { slot.text_len.load(Ordering::SeqCst) };
    let writes = WRITING_NOW.get();
    let (first, code) = if writes { (WRITING, UNKNOWN_CODE) } else { ("", FAULT_CODE) };
    let lines: [(*const u8, usize); 3] =
        [(first.as_ptr(), first.len()), (HEAD.as_ptr(), HEAD.len()), (text, text_len)];
    // SAFETY: the first two are static; the text lives as long as its guard, which holds the mapped file
    // open that this thread was reading.
    unsafe {
        for (text, len) in lines {
            libc::write(2, text.cast(), len);
        }
        libc::_exit(code)
    }
}

/// Not our file: puts the handler from before back. A fault then happens again and finds it; a
/// signal that was sent is sent once more.
#[expect(unsafe_code, reason = "sigaction and raise are safe inside a handler")]
fn hand_back(signal: c_int, info: *mut libc::siginfo_t) {
    let before = SIGNALS.iter().position(|s| *s == signal).and_then(|i| BEFORE[i].get());
    // SAFETY: the struct came from sigaction itself; raise only queues the signal, which is blocked
    // until this handler returns.
    unsafe {
        if let Some(before) = before {
            libc::sigaction(signal, before, ptr::null_mut());
        }
        if fault_address(info).is_none() || signal == libc::SIGABRT {
            libc::raise(signal);
        }
    }
}
