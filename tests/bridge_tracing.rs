//! Spans of `tracing`, and tokio's task-locals, in actors on tokio's threads.

mod bridge_support;

use std::cell::Cell;
use std::collections::HashMap;
use std::mem::forget;
use std::sync::{Mutex, Once};
use std::task::Waker;
use std::time::Duration;

use bridge_support::turns;
use smarm::host::Turn;
use smarm::{Config, JoinError, Runtime};
use smarm_compat::await_future;
use smarm_compat::tracing::Spans;
use smarm_workspace::{PATIENCE, Signal, until, within};
use tracing::span::{Attributes, Id};
use tracing::{Span, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const MOMENT: Duration = Duration::from_millis(2);

/// What was seen of the spans of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    made: u32,
    entered: u32,
    exited: u32,
    closed: u32,
}

static SEEN: Mutex<Option<HashMap<&'static str, Seen>>> = Mutex::new(None);

/// Of the span's name, unless it was seen otherwise.
fn seen(name: &str) -> Seen {
    SEEN.lock().unwrap().as_ref().and_then(|seen| seen.get(name).copied()).unwrap_or_default()
}

/// Counts in `SEEN`.
struct Recorder;

impl Recorder {
    fn count<S>(&self, id: &Id, context: &Context<'_, S>, count: impl FnOnce(&mut Seen))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let name = context.span(id).expect("the span lives").name();
        count(SEEN.lock().unwrap().get_or_insert_default().entry(name).or_default());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.count(id, &context, |seen| seen.made += 1);
    }
    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.count(id, &context, |seen| seen.entered += 1);
    }
    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.count(id, &context, |seen| seen.exited += 1);
    }
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.count(&id, &context, |seen| seen.closed += 1);
    }
}

/// A runtime on tokio with spans that follow actors, in a process with a recording subscriber.
fn traced(workers: usize) -> Runtime {
    record();
    let config = Config::exact(workers).hooks(Spans::new());
    smarm_compat::Builder::new().config(config).workers(workers).start().unwrap()
}

fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Recorder)).unwrap();
    });
}

#[track_caller]
fn assert_current(span: &Span) {
    assert_eq!(Span::current().id(), span.id());
}

#[track_caller]
fn assert_bare() {
    assert_eq!(Span::current().id(), None);
}

#[test]
fn a_span_is_current_again_after_each_wait_and_inside_awaited_futures() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            traced(workers).run(|| {
                let actors: Vec<_> = (0..10)
                    .map(|_| {
                        smarm::spawn(|| {
                            assert_bare();
                            let span = info_span!("waits");
                            let guard = span.enter();
                            for _ in 0..5 {
                                smarm::yield_now();
                                assert_current(&span);
                                smarm::sleep(Duration::from_micros(50));
                                assert_current(&span);
                                await_future(async {
                                    assert_current(&span);
                                    tokio::time::sleep(Duration::from_millis(1)).await;
                                    assert_current(&span);
                                    turns(3).await;
                                    assert_current(&span);
                                });
                                assert_current(&span);
                                let child = smarm::spawn(assert_bare);
                                child.join().unwrap();
                                assert_current(&span);
                            }
                            drop(guard); // entered again several times since it was made
                            assert_bare();
                            smarm::yield_now();
                            assert_bare();
                        })
                    })
                    .collect();
                actors.into_iter().for_each(|actor| actor.join().unwrap());
            });
        }
        let waits = seen("waits");
        assert_eq!((waits.made, waits.closed, waits.exited), (20, 20, waits.entered));
        assert!(waits.entered > 20);
    });
}

#[test]
fn neither_neighbours_nor_tasks_see_an_actors_span() {
    within(PATIENCE, || {
        traced(1).run(|| {
            let over = Signal::new();
            let theirs = over.clone();
            let task = tokio::spawn(async move {
                let mut looks = 0;
                while theirs.count() == 0 {
                    assert_bare();
                    looks += 1;
                    tokio::task::yield_now().await;
                }
                looks
            });
            let theirs = over.clone();
            let neighbour = smarm::spawn(move || {
                until(|| {
                    assert_bare();
                    theirs.count() > 0
                });
            });
            let span = info_span!("private").entered();
            for _ in 0..20 {
                smarm::yield_now();
                await_future(tokio::task::yield_now());
            }
            assert_current(&span);
            over.raise();
            neighbour.join().unwrap();
            assert!(await_future(task).unwrap() > 0);
        });
    });
}

#[test]
fn nested_and_repeated_spans_come_back_in_order() {
    within(PATIENCE, || {
        traced(1).run(|| {
            let (a, b) = (info_span!("outer"), info_span!("inner"));
            let first = a.enter();
            let second = b.enter();
            let again = a.enter(); // the registry goes on to call the inner one current
            let current = Span::current();
            smarm::yield_now();
            assert_current(&current);
            drop(again);
            assert_current(&b);
            smarm::yield_now();
            assert_current(&b);
            drop(second);
            assert_current(&a);
            smarm::yield_now();
            assert_current(&a);
            drop(first);
            assert_bare();
        });
        for name in ["outer", "inner"] {
            let Seen { made, entered, exited, closed } = seen(name);
            assert_eq!((made, closed, exited), (1, 1, entered), "{name}");
        }
    });
}

#[test]
fn a_span_closes_once_when_its_last_handle_goes_and_not_at_a_wait() {
    within(PATIENCE, || {
        traced(1).run(|| {
            let guard = info_span!("owned").entered();
            for _ in 0..3 {
                smarm::yield_now();
                await_future(turns(2));
                assert_eq!(seen("owned").closed, 0);
            }
            drop(guard);
            assert_eq!(seen("owned").closed, 1);
        });
    });
}

#[test]
fn an_actor_that_ends_in_a_span_leaves_none_behind() {
    within(PATIENCE, || {
        traced(1).run(|| {
            smarm::spawn(|| forget(info_span!("forgotten").entered())).join().unwrap();
            assert_bare();
            assert!(seen("forgotten").exited >= 1);

            let ready = Signal::new();
            let theirs = ready.clone();
            let killed = smarm::spawn(move || {
                let span = info_span!("killed").entered();
                theirs.raise();
                await_future(async {
                    assert_current(&span);
                    std::future::pending::<()>().await;
                });
            });
            ready.wait(1);
            killed.kill();
            assert!(matches!(killed.join(), Err(JoinError::Killed)));
            let killed = seen("killed");
            assert_eq!((killed.closed, killed.exited), (1, killed.entered));

            let panicked = smarm::spawn(|| {
                let _span = info_span!("panicked").entered();
                smarm::yield_now();
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(panicked.join().is_err());
            let panicked = seen("panicked");
            assert_eq!((panicked.closed, panicked.exited), (1, panicked.entered));
            assert_bare();
        });
    });
}

#[test]
fn the_hosts_own_span_is_put_aside_while_actors_run() {
    within(PATIENCE, || {
        record();
        let config = Config::exact(1).hooks(Spans::new());
        let (runtime, mut workers) = smarm::runtime::detached(config).unwrap();
        let child = runtime.spawn(|| {
            assert_bare();
            let own = info_span!("own").entered();
            smarm::yield_now();
            assert_current(&own);
        });
        let host = info_span!("host").entered();
        while workers[0].poll_turn(Waker::noop()) == Turn::Busy {
            assert_current(&host);
        }
        assert_current(&host);
        child.unwrap().join().unwrap();
        drop(host);
        assert_bare();
        assert_eq!(seen("host").closed, 1);
    });
}

#[test]
fn a_task_of_the_same_worker_keeps_its_instrumented_span() {
    use tracing::Instrument;
    within(PATIENCE, || {
        traced(1).run(|| {
            let span = info_span!("task");
            let theirs = span.clone();
            let task = tokio::spawn(
                async move {
                    for _ in 0..10 {
                        assert_current(&theirs);
                        tokio::task::yield_now().await;
                        assert_current(&theirs);
                        smarm::spawn(assert_bare).await.unwrap();
                    }
                }
                .instrument(span),
            );
            let _own = info_span!("actor").entered();
            await_future(task).unwrap();
        });
        assert_eq!(seen("task").closed, 1);
    });
}

tokio::task_local! {
    static REQUEST: Cell<u32>;
}

#[test]
fn scopes_of_task_locals_work_inside_awaited_futures() {
    within(PATIENCE, || {
        traced(1).run(|| {
            let actors: Vec<_> = (0..10)
                .map(|n| {
                    smarm::spawn(move || {
                        for _ in 0..5 {
                            let total = await_future(REQUEST.scope(Cell::new(n), async {
                                for step in 1..4 {
                                    tokio::task::yield_now().await;
                                    assert_eq!(
                                        REQUEST.with(|request| request.replace(n + step)),
                                        n + step - 1
                                    );
                                    tokio::time::sleep(MOMENT / 20).await;
                                }
                                REQUEST.get().get()
                            }));
                            assert_eq!(total, n + 3);
                            assert!(REQUEST.try_with(|_| ()).is_err(), "it ends with the scope");
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}
