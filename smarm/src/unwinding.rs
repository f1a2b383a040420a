//! Unwindings that are set aside, so that `thread::panicking()` is each actor's own.
//!
//! std counts, per thread, the unwindings that have begun there and were not caught; `thread::panicking()` says
//! whether that is more than none. An actor that waits in a destructor while it unwinds would leave the count to its
//! neighbours: they would take themselves for unwinding, ignore kills, and poison std's locks. So it sets its
//! unwindings aside before it leaves the thread, and takes them up again when it is back.
//!
//! # Protocol
//! The count cannot be written. But an unwinding that begins on one thread and ends on another leaves the first one's
//! count one higher, and the second one's one lower; and an [`Exception`] can be carried from thread to thread.
//!
//! | step | who | own count | |
//! |---|---|---|---|
//! | lend | the *lender*, a thread with nothing else to do | + 1 for each | begins unwindings, whose exceptions it puts into the pool |
//! | [`set_aside`] | an actor's thread, until its count is zero | − 1 for each | ends an unwinding of the pool |
//! | [`SetAside`] dropped | the same thread | + 1 for each | begins one, and puts it into the pool |
//! | close | the lender, when all was taken up again a while ago | − 1 for each | ends those of the pool, and itself |
//!
//! What the lender has begun is what is in the pool and what is set aside. So its count is never less than zero, and
//! it is zero when it ends: nothing is left behind.
//!
//! Each pair costs microseconds and a lock; nothing of it is on the way of who does not unwind.
//!
//! Under Miri actors are threads, whose counts are their own.
//!
//! Rejected: to remember which unwindings began while a neighbour was parked in one, as the panic hook and smarm's own
//! code see them. `resume_unwind` passes no hook, and who caught one is not seen either: a kill could be lost, or
//! abort the process.

mod exception;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use self::exception::Exception;

/// So many are lent at a time at least.
const LENT_AT_ONCE: usize = 16;
/// For so long the lender waits for others who need it.
const PATIENCE: Duration = Duration::from_millis(50);
/// So often, and so far apart, a lender is tried to be started before the process ends.
const TRIES: u32 = 2000;
const PAUSE: Duration = Duration::from_millis(1);

struct Books {
    pool: Vec<Exception>,
    /// How many unwindings are set aside.
    aside: usize,
    /// How many threads wait for one to be lent.
    wanted: usize,
    /// There is a lender.
    open: bool,
}

static BOOKS: Mutex<Books> = Mutex::new(Books { pool: Vec::new(), aside: 0, wanted: 0, open: false });
/// Tells the lender that something is wanted, or that all was taken up.
static ASKED: Condvar = Condvar::new();
/// Tells who waits that something was lent.
static LENT: Condvar = Condvar::new();

/// Unwindings of this thread that do not count until this is dropped.
#[must_use]
pub(crate) struct SetAside(u32);

/// Makes `thread::panicking()` false. The caller unwinds, or the thread's own stack does, and is not gone on with
/// before what this gives is dropped on this thread.
#[cold]
pub(crate) fn set_aside() -> SetAside {
    let mut count = 0;
    // Under Miri it is the flow's own.
    while !cfg!(miri) && thread::panicking() {
        borrow().end();
        count += 1;
    }
    SetAside(count)
}

impl Drop for SetAside {
    fn drop(&mut self) {
        for _ in 0..self.0 {
            let begun = Exception::begin();
            let mut books = books();
            books.pool.push(begun);
            books.aside -= 1;
            if books.aside == 0 {
                ASKED.notify_one();
            }
        }
    }
}

fn books() -> MutexGuard<'static, Books> {
    // Nothing panics under the lock, but for want of memory.
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn borrow() -> Exception {
    let mut books = books();
    let mut tries = 0;
    loop {
        if let Some(exception) = books.pool.pop() {
            books.aside += 1;
            return exception;
        }
        if !books.open {
            books.open = thread::Builder::new().name("smarm-unwinding".to_owned()).spawn(lend).is_ok();
        }
        if books.open {
            books.wanted += 1;
            ASKED.notify_one();
            books = LENT.wait(books).unwrap_or_else(PoisonError::into_inner);
        } else if tries < TRIES {
            // Without the lock, as somebody may put one into the pool.
            tries += 1;
            books = LENT.wait_timeout(books, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        } else {
            give_up();
        }
    }
}

/// Without a lender the neighbours of who unwinds could not be told from it, so where no thread is to be had for
/// seconds, that ends the process.
fn give_up() -> ! {
    eprintln!(
        "smarm: an actor waits in a destructor while it unwinds, for which a thread is needed for a moment, and the \
         system refuses one; the process ends"
    );
    std::process::abort();
}

/// What the lender does.
fn lend() {
    let mut books = books();
    loop {
        if books.wanted > 0 {
            let count = books.wanted.max(LENT_AT_ONCE);
            books.wanted = 0;
            drop(books);
            let begun: Vec<Exception> = (0..count).map(|_| Exception::begin()).collect();
            books = self::books();
            books.pool.extend(begun);
            LENT.notify_all();
        } else if books.aside > 0 {
            books = ASKED.wait(books).unwrap_or_else(PoisonError::into_inner);
        } else {
            let (again, waited) = ASKED.wait_timeout(books, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            books = again;
            if waited.timed_out() && books.wanted == 0 && books.aside == 0 {
                let pool = std::mem::take(&mut books.pool);
                books.open = false;
                drop(books);
                pool.into_iter().for_each(Exception::end);
                return;
            }
        }
    }
}

#[cfg(all(test, not(miri), not(smarm_loom)))]
mod tests;
