//! redis-rs, against a real server.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisError, ServerErrorKind};
use smarm_compat::await_future;
use smarm_ecosystem::{REDIS, in_every_mode, kill, server};
use smarm_workspace::{PATIENCE, Signal, until, within};

const MOMENT: Duration = Duration::from_millis(20);

/// Runs `test` as an actor in every mode, if there is a server.
fn with_server(test: fn(&Client)) {
    if server(REDIS).is_some() {
        in_every_mode(move || test(&Client::open(server(REDIS).expect("it is set")).unwrap()));
    }
}

/// Connects, without a limit to how long an answer may take.
fn connect(client: &Client) -> MultiplexedConnection {
    connect_with(client, None)
}

fn connect_with(client: &Client, response_timeout: Option<Duration>) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(response_timeout);
    await_future(client.get_multiplexed_async_connection_with_config(&config)).unwrap()
}

/// A name that no other test uses, nor another run against the same server.
fn fresh(name: &str) -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}-{}", std::process::id(), MADE.fetch_add(1, SeqCst))
}

async fn id(connection: &mut MultiplexedConnection) -> Result<i64, RedisError> {
    redis::cmd("CLIENT").arg("ID").query_async(connection).await
}

#[test]
fn actors_share_a_connection_whose_commands_overlap() {
    within(PATIENCE, || {
        with_server(|client| {
            let connection = connect(client);
            let counter = fresh("counter");
            let actors: Vec<_> = (0..8)
                .map(|_| {
                    let (mut connection, counter) = (connection.clone(), counter.clone());
                    smarm::spawn(move || {
                        for _ in 0..50 {
                            let _: i64 = await_future(connection.incr(&counter, 1)).unwrap();
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            let mut connection = connection;
            assert_eq!(await_future(connection.get::<_, i64>(&counter)).unwrap(), 400);
            let _: () = await_future(connection.del(&counter)).unwrap();
            assert_eq!(await_future(connection.get::<_, Option<i64>>(&counter)).unwrap(), None);
        });
    });
}

#[test]
fn a_pipeline_and_a_long_value_go_there_and_come_back() {
    within(PATIENCE, || {
        with_server(|client| {
            let mut connection = connect(client);
            let (key, long) = (fresh("long"), vec![7_u8; 1_000_000]);
            let mut pipeline = redis::pipe();
            pipeline.atomic().set(&key, &long).ignore().strlen(&key).get(&key).del(&key).ignore();
            let (length, value): (usize, Vec<u8>) =
                await_future(pipeline.query_async(&mut connection)).unwrap();
            assert_eq!(length, long.len());
            assert!(value == long);
        });
    });
}

#[test]
fn messages_go_from_an_actor_to_all_that_have_subscribed() {
    within(PATIENCE, || {
        with_server(|client| {
            let channel = fresh("channel");
            let ready = Signal::new();
            let listeners: Vec<_> = (0..3)
                .map(|_| {
                    let (client, channel, ready) = (client.clone(), channel.clone(), ready.clone());
                    smarm::spawn(move || {
                        let mut subscription = await_future(client.get_async_pubsub()).unwrap();
                        await_future(subscription.subscribe(&channel)).unwrap();
                        ready.raise();
                        let mut messages = subscription.on_message();
                        for n in 0..50 {
                            let message = await_future(messages.next()).unwrap();
                            assert_eq!(message.get_payload::<i32>().unwrap(), n);
                        }
                    })
                })
                .collect();
            ready.wait(3);
            let mut teller = connect(client);
            for n in 0..50 {
                assert_eq!(await_future(teller.publish::<_, _, i32>(&channel, n)).unwrap(), 3);
            }
            listeners.into_iter().for_each(|listener| listener.join().unwrap());
        });
    });
}

#[test]
fn errors_of_the_server_come_to_the_actor_and_the_connection_lives_on() {
    within(PATIENCE, || {
        with_server(|client| {
            let mut connection = connect(client);
            let key = fresh("text");
            let _: () = await_future(connection.set(&key, "text")).unwrap();
            let error = await_future(connection.lpush::<_, _, i64>(&key, "x")).unwrap_err();
            assert_eq!(error.code(), Some("WRONGTYPE"));
            let error = await_future(redis::cmd("NONSENSE").query_async::<()>(&mut connection)).unwrap_err();
            assert_eq!(error.kind(), ServerErrorKind::ResponseError.into());
            let error = await_future(connection.get::<_, i64>(&key)).unwrap_err();
            assert!(!error.is_connection_dropped(), "{error:?}");
            let _: () = await_future(connection.del(&key)).unwrap();

            let nobody = Client::open("redis://127.0.0.1:1/").unwrap();
            let error = await_future(nobody.get_multiplexed_async_connection()).map(drop).unwrap_err();
            assert!(error.is_io_error(), "{error:?}");
        });
    });
}

#[test]
fn a_connection_that_the_server_drops_fails_the_command_that_waits() {
    within(PATIENCE, || {
        with_server(|client| {
            let (mut connection, mut other) = (connect(client), connect(client));
            let number = await_future(id(&mut connection)).unwrap();
            let list = fresh("list");
            let waiting = smarm::spawn(move || {
                let popped = await_future(connection.blpop::<_, Option<(String, String)>>(&list, 0.0));
                assert!(popped.unwrap_err().is_connection_dropped());
                assert!(await_future(id(&mut connection)).is_err());
            });
            until(|| blocked(&mut other, number));
            let _: i64 =
                await_future(redis::cmd("CLIENT").arg("KILL").arg("ID").arg(number).query_async(&mut other))
                    .unwrap();
            waiting.join().unwrap();
        });
    });
}

/// Whether the server knows that client to wait for a list.
fn blocked(connection: &mut MultiplexedConnection, number: i64) -> bool {
    let about = redis::cmd("CLIENT").arg("LIST").arg("ID").arg(number).take();
    let about: String = await_future(about.query_async(connection)).unwrap();
    about.contains("cmd=blpop") && about.contains("flags=b")
}

#[test]
fn an_answer_that_takes_too_long_is_given_up_by_the_client() {
    within(PATIENCE, || {
        with_server(|client| {
            let mut connection = connect_with(client, Some(MOMENT));
            let list = fresh("list");
            let error =
                await_future(connection.blpop::<_, Option<(String, String)>>(&list, 0.0)).unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
        });
    });
}

#[test]
fn a_killed_actor_gives_up_its_command_and_takes_its_connection_along() {
    within(PATIENCE, || {
        with_server(|client| {
            let (mut connection, mut other) = (connect(client), connect(client));
            let number = await_future(id(&mut connection)).unwrap();
            let (list, of_the_victim) = (fresh("list"), fresh("list"));
            let victim = smarm::spawn(move || {
                await_future(connection.blpop::<_, Option<(String, String)>>(&of_the_victim, 0.0)).unwrap();
            });
            until(|| blocked(&mut other, number));
            kill(victim);
            until(|| {
                let about = redis::cmd("CLIENT").arg("LIST").arg("ID").arg(number).take();
                await_future(about.query_async::<String>(&mut other)).unwrap().is_empty()
            });
            // Others are not touched by it.
            let _: i64 = await_future(other.rpush(&list, "x")).unwrap();
            assert_eq!(await_future(other.lpop::<_, String>(&list, None)).unwrap(), "x");
        });
    });
}
