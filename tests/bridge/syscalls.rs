//! A wake from one world to the other, on one worker, is no system call.
//!
//! The kernel says so itself: with *syscall user dispatch* (Linux 5.11), each call that the worker's
//! thread makes while a byte in memory says `BLOCK` becomes a `SIGSYS`, whose handler counts it and
//! makes it. What the other threads of the process do is not looked at.

use std::arch::naked_asm;
use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};

use smarm_compat::await_future;
use smarm_workspace::{Signal, child};

use crate::bridge_support::{on_tokio, spawn_on, tokio_of};

const PR_SET_SYSCALL_USER_DISPATCH: libc::c_int = 59;
const ALLOW: u8 = 0;
const BLOCK: u8 = 1;

/// Looked at by the kernel at each system call of the thread that has asked for it.
static SELECTOR: AtomicU8 = AtomicU8::new(ALLOW);

/// How often each system call was made.
static COUNTS: [AtomicUsize; 512] = [const { AtomicUsize::new(0) }; 512];

/// Returns from the handler. The dispatch always lets pass what is called from here.
#[unsafe(naked)]
unsafe extern "C" fn restore() {
    naked_asm!("mov eax, {number}", "syscall", "ud2", number = const libc::SYS_rt_sigreturn);
}

/// The bytes of `restore`, and then some that hold no system call.
const RESTORE_SIZE: usize = 8;

/// Counts the system call that was dispatched, and makes it. It must start no thread: that would begin
/// in the middle of the handler.
unsafe extern "C" fn count(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    SELECTOR.store(ALLOW, SeqCst);
    // SAFETY: the kernel gives the handler this thread's context. The call is the one that the thread
    // was about to make, with its arguments; it would have had the same effects there.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let number = registers[libc::REG_RAX as usize];
        COUNTS[number as usize].fetch_add(1, SeqCst);
        let [rdi, rsi, rdx, r10, r8, r9] =
            [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX, libc::REG_R10, libc::REG_R8, libc::REG_R9]
                .map(|register| registers[register as usize]);
        let result = libc::syscall(number, rdi, rsi, rdx, r10, r8, r9);
        registers[libc::REG_RAX as usize] =
            if result == -1 { -i64::from(*libc::__errno_location()) } else { result };
    }
    SELECTOR.store(BLOCK, SeqCst);
}

/// The handler, as the kernel takes it: libc's `sigaction` would put its own return in.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Has the calling thread's system calls dispatched from now on while the selector says so. `false`
/// if the kernel cannot.
fn dispatch_syscalls() -> bool {
    const SA_RESTORER: u64 = 0x0400_0000;
    let action = KernelAction {
        handler: count as *const () as usize,
        flags: (libc::SA_SIGINFO | libc::SA_NODEFER) as u64 | SA_RESTORER,
        restorer: restore as *const () as usize,
        mask: 0,
    };
    // SAFETY: the action is laid out as the kernel's, and its mask has eight bytes. The selector
    // lives for ever, and the range is that of `restore`.
    unsafe {
        let set =
            libc::syscall(libc::SYS_rt_sigaction, libc::SIGSYS, &raw const action, null_mut::<c_void>(), 8);
        assert_eq!(set, 0, "{}", io::Error::last_os_error());
        let done = libc::prctl(
            PR_SET_SYSCALL_USER_DISPATCH,
            1_usize,
            restore as *const () as usize,
            RESTORE_SIZE,
            SELECTOR.as_ptr(),
        );
        done == 0
    }
}

/// Runs `f` and gives the system calls that the calling thread made meanwhile: their numbers, and how
/// often.
fn syscalls(f: impl FnOnce()) -> Vec<(i64, usize)> {
    COUNTS.iter().for_each(|count| count.store(0, SeqCst));
    SELECTOR.store(BLOCK, SeqCst);
    f();
    SELECTOR.store(ALLOW, SeqCst);
    let made = COUNTS.iter().enumerate().map(|(number, count)| (number as i64, count.load(SeqCst)));
    made.filter(|(_, count)| *count > 0).collect()
}

/// Runs `f` in an actor on a worker whose system calls can be counted, on a runtime of this many
/// workers.
fn with_counted_syscalls<F: FnOnce() + Send>(workers: usize, f: F) {
    on_tokio(workers).run(|| {
        if dispatch_syscalls() {
            f();
        } else {
            eprintln!("not tested: {}", io::Error::last_os_error());
        }
    });
}

const ROUNDS: usize = 10_000;

/// An actor of the calling worker, which waits meanwhile, and a task of its runtime take turns.
fn play(task: usize) -> impl FnOnce() {
    let (ping, pong) = (Signal::new(), Signal::new());
    let (their_ping, their_pong) = (ping.clone(), pong.clone());
    let task = tokio_of(task).spawn(async move {
        for round in 1..=ROUNDS {
            their_ping.reached(round).await;
            their_pong.raise();
        }
    });
    move || {
        for round in 1..=ROUNDS {
            ping.raise();
            await_future(pong.reached(round));
        }
        await_future(task).unwrap();
    }
}

#[test]
fn the_counter_counts() {
    child::run_well(|| {
        with_counted_syscalls(1, || {
            let made = syscalls(|| {
                // SAFETY: getppid takes nothing.
                (0..3).for_each(|_| assert!(unsafe { libc::syscall(libc::SYS_getppid) } > 0));
            });
            assert_eq!(made, [(libc::SYS_getppid, 3)]);
        });
    });
}

#[test]
fn a_wake_between_the_worlds_on_one_worker_is_no_system_call() {
    child::run_well(|| {
        with_counted_syscalls(1, || {
            let made = syscalls(play(0));
            // Tokio itself looks at its epoll every 61 polls of a task; now and then, by the clock,
            // somebody wakes the monitor. Both are far from one call for each of the wakes.
            let of_epoll = |number| [libc::SYS_epoll_wait, libc::SYS_epoll_pwait].contains(&number);
            let (looks, others): (Vec<_>, Vec<_>) = made.iter().partition(|(number, _)| of_epoll(*number));
            let sum = |calls: Vec<&(i64, usize)>| calls.into_iter().map(|(_, count)| count).sum::<usize>();
            assert!(sum(looks) < 2 * ROUNDS / 61 + ROUNDS / 100, "{made:?}");
            assert!(sum(others) < ROUNDS / 100, "{made:?}");
        });
    });
}

#[test]
fn a_wake_between_workers_is_seen_by_the_counter() {
    child::run_well(|| {
        with_counted_syscalls(2, || {
            // Whichever worker this is, the task is on the other.
            let here = std::thread::current().id();
            let other = (0..2)
                .find(|&worker| spawn_on(worker, || std::thread::current().id()).join().unwrap() != here)
                .unwrap();
            let made = syscalls(play(other));
            let writes = made.iter().find(|(number, _)| *number == libc::SYS_write);
            assert!(writes.is_some_and(|(_, count)| *count > ROUNDS / 100), "{made:?}");
        });
    });
}
