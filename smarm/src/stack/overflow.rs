//! What happens when an actor runs into its guard: a message that names it, and the end.
//!
//! std's handler knows the stacks of OS threads only; an actor that overflows would die of a bare
//! `SIGSEGV`. So a handler of our own comes first, on an alternate signal stack:
//!
//! 1. An address in a guard (by arithmetic, [`find`]): it prints two lines and aborts.
//! 2. Any other fault, or a signal that a process sent, goes to the action that was in force
//!    before, so std's message about an OS thread, a sanitizer or a crash reporter work as ever.
//!
//! ```text
//! actor 3.1 "parser" overflowed its 256 KiB stack
//! raise it with Builder::stack_size or Config::stack_size, or run the deep call with on_native_stack
//! ```
//!
//! In the handler there are no locks and no allocation, and the only system calls are `write`,
//! `sigaction` and `raise`: the thread may have been stopped anywhere, inside the allocator too.

use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use super::PAGE;
use super::area::{Area, Place, find};

/// Writes who uses a stack, as `3.1 "name"`, and gives the number of bytes written; 0 if nobody
/// does. Called in a signal handler.
pub(crate) type Describe = fn(index: u32, out: &mut [u8]) -> usize;

const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

const ADVICE: &[u8] = b"\nraise it with Builder::stack_size or Config::stack_size, \
    or run the deep call with on_native_stack\n";

/// What the handler needs. Complete before the first signal can reach it, and constant.
struct Installed {
    describe: Describe,
    /// The actions that were in force before, in the order of [`SIGNALS`].
    previous: [libc::sigaction; 2],
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// Installs the handler, process-wide. Only the first call does anything; its `describe` stays.
///
/// # Errors
/// What `sigaction` says.
pub(crate) fn install(describe: Describe) -> io::Result<()> {
    if cfg!(miri) {
        return Ok(()); // without signals
    }
    let mut previous = [default_action(); 2];
    for (signal, action) in SIGNALS.into_iter().zip(&mut previous) {
        // SAFETY: only asks; `action` is a valid place for the answer.
        check(unsafe { libc::sigaction(signal, ptr::null(), action) })?;
    }
    let mut first = false;
    INSTALLED.get_or_init(|| {
        first = true;
        Installed { describe, previous }
    });
    if !first {
        return Ok(());
    }
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
    let mut action = default_action();
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for signal in SIGNALS {
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and is async-signal-safe.
        check(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) })?;
    }
    Ok(())
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // The kernel's own codes are positive; only then is there an address.
    // SAFETY: the kernel passes a valid `info` to an SA_SIGINFO handler.
    let (sent, address) = unsafe { ((*info).si_code <= 0, (*info).si_addr().addr()) };
    // Install sets this before the handler; were it not so, the default action is the right one.
    let installed = INSTALLED.get();
    if !sent
        && let Some((index, Place::Guard)) = find(address)
        && let Some(installed) = installed
    {
        report(index, installed.describe);
        // SAFETY: abort may be called in a signal handler.
        unsafe { libc::abort() };
    }
    let previous = SIGNALS.iter().position(|&known| known == signal).zip(installed);
    let previous = previous.map_or(default_action(), |(nth, installed)| installed.previous[nth]);
    forward(&previous, signal, info, context, sent);
}

/// Does what would have happened without the handler of ours.
fn forward(
    previous: &libc::sigaction,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
    sent: bool,
) {
    let handler = previous.sa_sigaction;
    if handler == libc::SIG_IGN && sent {
        return;
    }
    let is_function = handler != libc::SIG_DFL && handler != libc::SIG_IGN;
    // A fault that is ignored has the default action: it would come again for ever.
    if !is_function || previous.sa_flags & libc::SA_RESETHAND != 0 {
        // SAFETY: sigaction may be called in a signal handler; the action is valid.
        unsafe { libc::sigaction(signal, &default_action(), ptr::null_mut()) };
    }
    if is_function && previous.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: installed with SA_SIGINFO, so it is a function of this type.
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { mem::transmute(handler) };
        handler(signal, info, context);
    } else if is_function {
        // SAFETY: installed without SA_SIGINFO, so it is a function of this type.
        let handler: extern "C" fn(libc::c_int) = unsafe { mem::transmute(handler) };
        handler(signal);
    } else if sent {
        // A fault comes again when the handler returns; a signal that was sent does not.
        // SAFETY: raise may be called in a signal handler; it takes effect after the return.
        unsafe { libc::raise(signal) };
    }
}

fn default_action() -> libc::sigaction {
    // SAFETY: all zero is a valid sigaction: SIG_DFL, no flags, an empty mask.
    unsafe { mem::zeroed() }
}

fn report(index: u32, describe: Describe) {
    let mut name = [0; 128];
    let len = describe(index, &mut name).min(name.len());
    let mut line = Line { text: [0; 320], len: 0 };
    if len == 0 {
        line.push(b"\nan actor");
    } else {
        line.push(b"\nactor ");
        line.push(&name[..len]);
    }
    line.push(b" overflowed its ");
    line.push_number(Area::of(index).size() / 1024);
    line.push(b" KiB stack");
    line.push(ADVICE);
    // SAFETY: the first `len` bytes of `text` are initialised; write may be called in a handler.
    unsafe { libc::write(libc::STDERR_FILENO, line.text.as_ptr().cast(), line.len) };
}

/// Text without allocation; what does not fit is cut off.
struct Line {
    text: [u8; 320],
    len: usize,
}

impl Line {
    fn push(&mut self, text: &[u8]) {
        for (place, byte) in self.text[self.len..].iter_mut().zip(text) {
            *place = *byte;
            self.len += 1;
        }
    }

    fn push_number(&mut self, number: usize) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        self.push(&[b'0' + (number % 10) as u8]);
    }
}

/// Room on an alternate signal stack beside the frame that the kernel pushes: for our handler, and
/// for a previous one such as a crash reporter.
const HANDLER_ROOM: usize = 64 << 10;

/// While it lives, its thread has an alternate signal stack, so that a handler can run when the
/// thread's own stack is used up.
pub(crate) struct AltStack {
    /// The mapping, if the thread had no alternate stack before.
    own: Option<(NonNull<libc::c_void>, usize)>,
    /// The alternate stack belongs to the thread that made it.
    _not_send: PhantomData<*mut ()>,
}

/// Sees to it that this thread has an alternate signal stack: the one it has, as std's threads do,
/// or a new one.
///
/// # Errors
/// The system refuses the memory.
pub(crate) fn protect_thread() -> io::Result<AltStack> {
    let protected = |own| Ok(AltStack { own, _not_send: PhantomData });
    if cfg!(miri) {
        return protected(None);
    }
    if alternate_stack()?.ss_flags & libc::SS_DISABLE == 0 {
        return protected(None);
    }
    // SAFETY: getauxval may always be asked; it gives 0 for what the kernel does not tell.
    let frame = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let size = (frame.max(libc::MINSIGSTKSZ) + HANDLER_ROOM).next_multiple_of(PAGE);
    let len = PAGE + size;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh private mapping at an address that the kernel chooses disturbs nothing.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    let base = NonNull::new(base).filter(|base| base.as_ptr() != libc::MAP_FAILED);
    let base = base.ok_or_else(io::Error::last_os_error)?;
    // Unmapped by the drop if one of the next calls fails; then it is not in force, and the drop has
    // nothing to disable.
    let stack = AltStack { own: Some((base, len)), _not_send: PhantomData };
    // SAFETY: in the mapping, above the page that stays closed as its guard.
    let bottom = unsafe { base.as_ptr().byte_add(PAGE) };
    // SAFETY: the range was mapped above.
    check(unsafe { libc::mprotect(bottom, size, libc::PROT_READ | libc::PROT_WRITE) })?;
    let wanted = libc::stack_t { ss_sp: bottom, ss_flags: 0, ss_size: size };
    // SAFETY: the memory is there until the drop, which disables it first.
    check(unsafe { libc::sigaltstack(&wanted, ptr::null_mut()) })?;
    Ok(stack)
}

impl Drop for AltStack {
    fn drop(&mut self) {
        let Some((base, len)) = self.own else { return };
        let mapping = base.as_ptr().addr()..base.as_ptr().addr() + len;
        let in_force = alternate_stack().is_ok_and(|stack| {
            stack.ss_flags & libc::SS_DISABLE == 0 && mapping.contains(&stack.ss_sp.addr())
        });
        if in_force {
            let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: the thread is not on it: a handler does not drop this.
            unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
        }
        // SAFETY: mapped by `protect_thread` with this length, and no longer in force.
        unsafe { libc::munmap(base.as_ptr(), len) };
    }
}

/// The alternate signal stack of this thread.
fn alternate_stack() -> io::Result<libc::stack_t> {
    let mut stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: only asks; `stack` is a valid place for the answer.
    check(unsafe { libc::sigaltstack(ptr::null(), &mut stack) })?;
    Ok(stack)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests;
