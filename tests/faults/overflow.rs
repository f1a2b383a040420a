//! A stack overflow ends the process with a report that says whose stack it was. Overflows of actors' own stacks
//! are in `tests/actors/stack.rs`.

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use smarm::compat::await_future;
use smarm_workspace::child;

use crate::support::{native, on_tokio};

/// Recurses beyond any stack.
fn overflow() {
    #[inline(never)]
    fn descend(level: usize) -> usize {
        if level == usize::MAX {
            return 0;
        }
        let block = black_box([level; 16]);
        let deeper = descend(black_box(level + 1));
        block[level % 16] + deeper
    }
    black_box(descend(0));
}

/// A child that aborted, and whose last words have these in them.
#[track_caller]
fn assert_reported(output: &Output, words: &[&str]) {
    let text = child::stderr(output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(output));
    for word in words {
        assert!(text.contains(word), "no {word:?} in {}", child::text(output));
    }
}

#[test]
fn in_an_actor_on_tokio_it_names_the_actor() {
    let output = child::run(|| {
        let runtime = smarm_compat::Builder::new().workers(1).start().unwrap();
        let parser = smarm::Builder::new().name("parser").runtime(&runtime.handle());
        drop(parser.spawn(overflow).unwrap().join());
    });
    if let Some(output) = output {
        assert_reported(&output, &["actor ", "\"parser\" overflowed its", "KiB stack", "on_native_stack"]);
    }
}

#[test]
fn in_a_destructor_while_the_actor_unwinds_it_names_the_actor() {
    let output = child::run(|| {
        smarm::run(|| {
            let parser = smarm::Builder::new().name("unwinder").spawn(|| {
                let _deep = smarm_workspace::OnDrop(overflow);
                panic!("on purpose");
            });
            drop(parser.unwrap().join());
        });
    });
    if let Some(output) = output {
        assert_reported(&output, &["\"unwinder\" overflowed its"]);
    }
}

/// The report is std's, as the stack is a thread's.
#[track_caller]
fn assert_worker_named(output: Option<Output>) {
    if let Some(output) = output {
        assert_reported(&output, &["smarm-0", "has overflowed its stack"]);
        assert!(!child::stderr(&output).contains("actor "), "{}", child::text(&output));
    }
}

#[test]
fn in_the_poll_of_an_awaited_future_it_names_the_workers_thread() {
    assert_worker_named(child::run(|| native(1).run(|| await_future(async { overflow() }))));
}

#[test]
fn in_the_poll_of_a_future_on_tokio_it_names_the_workers_thread() {
    assert_worker_named(child::run(|| on_tokio(1).run(|| await_future(async { overflow() }))));
}

#[test]
fn on_the_native_stack_it_names_the_workers_thread() {
    assert_worker_named(child::run(|| native(1).run(|| smarm::on_native_stack(overflow))));
}

#[test]
fn on_the_native_stack_on_tokio_it_names_the_workers_thread() {
    assert_worker_named(child::run(|| on_tokio(1).run(|| smarm::on_native_stack(overflow))));
}

#[test]
fn in_a_task_beside_actors_it_names_the_thread() {
    let output = child::run(|| {
        let runtime = smarm_compat::Builder::new().workers(1).start().unwrap();
        runtime.run(|| drop(await_future(tokio::spawn(async { overflow() }))));
    });
    if let Some(output) = output {
        assert_reported(&output, &["smarm-0", "has overflowed its stack"]);
    }
}

#[test]
fn in_a_task_of_a_service_with_actors_it_names_the_services_thread() {
    let output = child::run(|| {
        let service = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("service-thread")
            .enable_all()
            .build()
            .unwrap();
        let _actors = smarm_compat::attach(service.handle()).unwrap();
        drop(service.block_on(service.spawn(async { overflow() })));
    });
    if let Some(output) = output {
        assert_reported(&output, &["service-thread", "has overflowed its stack"]);
    }
}

#[test]
fn in_a_call_on_the_blocking_pool_it_names_the_thread() {
    let output = child::run(|| {
        smarm::run(|| smarm::io::block_on_io(overflow));
    });
    if let Some(output) = output {
        assert_reported(&output, &["smarm-io", "has overflowed its stack"]);
    }
}
