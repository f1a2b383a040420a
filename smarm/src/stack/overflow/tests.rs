//! Each test faults in a child process and looks at how that ended.

use super::*;
use crate::stack::area::bounds;
use crate::stack::child;
use crate::stack::guard::{self, Guard};
use crate::stack::pool::LocalPool;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn name_it(index: u32, out: &mut [u8]) -> usize {
    let name = b"3.1 \"parser\"";
    assert!(find(bounds(index).start) == Some((index, Place::Usable)));
    out[..name.len()].copy_from_slice(name);
    name.len()
}

fn kind() -> Guard {
    if guard::supported() { Guard::Advice } else { Guard::Mprotect }
}

fn touch_a_guard(kind: Guard, bytes: usize) {
    let index = LocalPool::new().acquire(Area::for_size(bytes, kind).unwrap()).unwrap();
    touch(bounds(index).start - 8);
}

fn touch(address: usize) {
    // SAFETY: none: it is to fault.
    unsafe { ptr::with_exposed_provenance_mut::<u64>(address).write_volatile(1) };
}

/// Where [`fault`] faults.
static FORBIDDEN: AtomicUsize = AtomicUsize::new(0);

/// Faults at an address that has nothing to do with stacks.
fn fault() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh private mapping at an address that the kernel chooses disturbs nothing.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, libc::PROT_NONE, flags, -1, 0) };
    FORBIDDEN.store(page.expose_provenance(), Ordering::Relaxed);
    touch(page.addr());
}

fn set_handler(handler: usize, flags: libc::c_int) {
    let mut action = default_action();
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    for signal in SIGNALS {
        // SAFETY: the tests pass functions that fit the flags.
        check(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) }).unwrap();
    }
}

extern "C" fn with_info(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's info, handed on.
    let address = unsafe { (*info).si_addr() }.addr();
    let code = if address == FORBIDDEN.load(Ordering::Relaxed) { 7 } else { 8 };
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

extern "C" fn plain(signal: libc::c_int) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(signal) }
}

#[track_caller]
fn assert_says(output: &Output, what: &str) {
    assert!(String::from_utf8_lossy(&output.stderr).contains(what), "{}", child::text(output));
}

#[test]
fn an_overflow_names_the_actor_and_the_cure_and_aborts() {
    let name = "stack::overflow::tests::an_overflow_names_the_actor_and_the_cure_and_aborts";
    let output = child::output(name, || {
        install(name_it).unwrap();
        touch_a_guard(kind(), 256 << 10);
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(&output));
        assert_says(&output, "\nactor 3.1 \"parser\" overflowed its 256 KiB stack\n");
        assert_says(&output, "raise it with Builder::stack_size or Config::stack_size, or run the deep");
    }
}

#[test]
fn an_overflow_into_an_mprotect_guard_is_reported_too() {
    let name = "stack::overflow::tests::an_overflow_into_an_mprotect_guard_is_reported_too";
    let output = child::output(name, || {
        install(|_, _| 0).unwrap();
        touch_a_guard(Guard::Mprotect, 16 << 10);
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(&output));
        assert_says(&output, "\nan actor overflowed its 16 KiB stack\n");
    }
}

#[test]
fn only_the_first_describe_counts() {
    let name = "stack::overflow::tests::only_the_first_describe_counts";
    let output = child::output(name, || {
        install(name_it).unwrap();
        install(|_, _| 0).unwrap();
        touch_a_guard(kind(), 16 << 10);
    });
    if let Some(output) = output {
        assert_says(&output, "actor 3.1 \"parser\" overflowed its 16 KiB stack");
    }
}

#[test]
fn other_faults_reach_the_previous_handler_with_their_address() {
    let name = "stack::overflow::tests::other_faults_reach_the_previous_handler_with_their_address";
    let output = child::output(name, || {
        set_handler(with_info as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
        install(name_it).unwrap();
        fault();
    });
    if let Some(output) = output {
        assert_eq!(output.status.code(), Some(7), "{}", child::text(&output));
    }
}

#[test]
fn a_fault_inside_a_stack_is_no_overflow() {
    let name = "stack::overflow::tests::a_fault_inside_a_stack_is_no_overflow";
    let output = child::output(name, || {
        set_handler(with_info as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
        install(name_it).unwrap();
        let index = LocalPool::new().acquire(Area::for_size(16 << 10, kind()).unwrap()).unwrap();
        let page = bounds(index).start;
        // SAFETY: nobody uses the stack.
        check(unsafe { libc::mprotect(ptr::with_exposed_provenance_mut(page), PAGE, libc::PROT_NONE) })
            .unwrap();
        FORBIDDEN.store(page, Ordering::Relaxed);
        touch(page);
    });
    if let Some(output) = output {
        assert_eq!(output.status.code(), Some(7), "{}", child::text(&output));
    }
}

#[test]
fn a_previous_handler_without_info_is_called_too() {
    let name = "stack::overflow::tests::a_previous_handler_without_info_is_called_too";
    let output = child::output(name, || {
        set_handler(plain as *const () as usize, libc::SA_ONSTACK);
        install(name_it).unwrap();
        fault();
    });
    if let Some(output) = output {
        assert_eq!(output.status.code(), Some(libc::SIGSEGV), "{}", child::text(&output));
    }
}

#[test]
fn a_fault_with_the_default_or_ignored_action_ends_the_process() {
    let name = "stack::overflow::tests::a_fault_with_the_default_or_ignored_action_ends_the_process";
    let output = child::output(name, || {
        // Ignored when it was sent, deadly when it is a fault.
        set_handler(libc::SIG_IGN, 0);
        install(name_it).unwrap();
        // SAFETY: the signal is ignored.
        unsafe { libc::raise(libc::SIGSEGV) };
        eprintln!("it was ignored");
        fault();
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", child::text(&output));
        assert_says(&output, "it was ignored");
    }
}

#[test]
fn a_signal_that_was_sent_has_the_default_action() {
    let name = "stack::overflow::tests::a_signal_that_was_sent_has_the_default_action";
    let output = child::output(name, || {
        set_handler(libc::SIG_DFL, 0);
        install(name_it).unwrap();
        // SAFETY: ends the process.
        unsafe { libc::raise(libc::SIGBUS) };
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", child::text(&output));
    }
}

#[test]
fn an_os_thread_that_overflows_still_gets_the_message_of_std() {
    fn deep(n: u64) -> u64 {
        if n == 0 { 0 } else { black_box(deep(black_box(n + 1))) + 1 }
    }
    let name = "stack::overflow::tests::an_os_thread_that_overflows_still_gets_the_message_of_std";
    let output = child::output(name, || {
        install(name_it).unwrap();
        let thread = thread::Builder::new().name("deep one".into()).spawn(|| deep(1)).unwrap();
        let _ = thread.join();
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(&output));
        assert_says(&output, "thread 'deep one'");
        assert_says(&output, "has overflowed its stack");
    }
}

#[test]
fn a_thread_without_an_alternate_stack_gets_one_and_loses_it_again() {
    thread::spawn(|| {
        let of_std = alternate_stack().unwrap();
        let given = protect_thread().unwrap();
        assert_eq!(alternate_stack().unwrap().ss_sp, of_std.ss_sp, "what is there is used");
        drop(given);
        assert_eq!(alternate_stack().unwrap().ss_sp, of_std.ss_sp, "and stays");

        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: the thread is not on it.
        check(unsafe { libc::sigaltstack(&none, ptr::null_mut()) }).unwrap();
        let given = protect_thread().unwrap();
        let stack = alternate_stack().unwrap();
        assert_eq!(stack.ss_flags & libc::SS_DISABLE, 0);
        assert!(stack.ss_size > HANDLER_ROOM);
        assert!(child::is_readable(stack.ss_sp.expose_provenance()));
        assert!(!child::is_readable(stack.ss_sp.addr() - 1), "it has a guard of its own");
        drop(given);
        assert_ne!(alternate_stack().unwrap().ss_flags & libc::SS_DISABLE, 0);
        // SAFETY: std's stack is mapped until the thread ends.
        check(unsafe { libc::sigaltstack(&of_std, ptr::null_mut()) }).unwrap();
    })
    .join()
    .unwrap();
}
