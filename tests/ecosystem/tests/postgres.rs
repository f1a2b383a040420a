//! tokio-postgres, against a real server.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use smarm_compat::await_future;
use smarm_ecosystem::{POSTGRES, in_every_mode, kill, server};
use smarm_workspace::{PATIENCE, Signal, until, within};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls};

const FOR_EVER: Duration = Duration::from_secs(100_000);

/// Runs `test` as an actor in every mode, if there is a server.
fn with_server(test: fn(&str)) {
    if server(POSTGRES).is_some() {
        in_every_mode(move || test(&server(POSTGRES).expect("it is set")));
    }
}

/// Connects; an actor drives the connection.
fn connect(address: &str) -> Client {
    let (client, connection) = await_future(tokio_postgres::connect(address, NoTls)).unwrap();
    drop(smarm::spawn(move || await_future(connection)));
    client
}

/// The number of the server's process that serves this client.
fn backend(client: &Client) -> i32 {
    await_future(client.query_one("SELECT pg_backend_pid()", &[])).unwrap().get(0)
}

/// Waits until that process runs a query.
fn until_busy(observer: &Client, backend: i32) {
    until(|| {
        let state = "SELECT wait_event IS NOT NULL AND state = 'active' FROM pg_stat_activity WHERE pid = $1";
        await_future(observer.query_one(state, &[&backend])).unwrap().get(0)
    });
}

#[test]
fn actors_share_a_client_whose_queries_overlap() {
    within(PATIENCE, || {
        with_server(|address| {
            let client = Arc::new(connect(address));
            let statement = await_future(client.prepare("SELECT $1::bigint * 2, $2::text || '!'")).unwrap();
            let actors: Vec<_> = (0..8_i64)
                .map(|actor| {
                    let (client, statement) = (client.clone(), statement.clone());
                    smarm::spawn(move || {
                        for n in actor..actor + 50 {
                            let row =
                                await_future(client.query_one(&statement, &[&n, &n.to_string()])).unwrap();
                            assert_eq!(
                                (row.get::<_, i64>(0), row.get::<_, String>(1)),
                                (n * 2, format!("{n}!"))
                            );
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn many_rows_stream_in_and_out() {
    within(PATIENCE, || {
        with_server(|address| {
            let client = connect(address);
            await_future(client.batch_execute("CREATE TEMPORARY TABLE numbers (n bigint, text text)"))
                .unwrap();
            let copied = await_future(async {
                let mut rows = Box::pin(client.copy_in("COPY numbers FROM STDIN").await?);
                for n in 0..5000 {
                    rows.send(Bytes::from(format!("{n}\tnumber {n}\n"))).await?;
                }
                rows.as_mut().finish().await
            });
            assert_eq!(copied.unwrap(), 5000);
            let rows = client.query_raw("SELECT n, text FROM numbers ORDER BY n", [0_i64; 0]);
            let mut rows = Box::pin(await_future(rows).unwrap());
            for n in 0..5000_i64 {
                let row = await_future(rows.try_next()).unwrap().unwrap();
                assert_eq!((row.get::<_, i64>(0), row.get::<_, String>(1)), (n, format!("number {n}")));
            }
            assert!(await_future(rows.try_next()).unwrap().is_none());
        });
    });
}

#[test]
fn a_transaction_takes_effect_when_it_is_committed_and_never_when_it_is_dropped() {
    within(PATIENCE, || {
        with_server(|address| {
            let mut client = connect(address);
            await_future(client.batch_execute("CREATE TEMPORARY TABLE t (n bigint)")).unwrap();
            for commit in [false, true] {
                await_future(async {
                    let transaction = client.transaction().await?;
                    transaction.execute("INSERT INTO t VALUES (1)", &[]).await?;
                    if commit { transaction.commit().await } else { Ok(()) }
                })
                .unwrap();
                let count: i64 =
                    await_future(client.query_one("SELECT count(*) FROM t", &[])).unwrap().get(0);
                assert_eq!(count, i64::from(commit));
            }
        });
    });
}

#[test]
fn errors_of_the_server_come_to_the_actor_and_the_connection_lives_on() {
    within(PATIENCE, || {
        with_server(|address| {
            let client = connect(address);
            let error = await_future(client.execute("SELECT nonsense", &[])).unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::UNDEFINED_COLUMN));
            let create = "CREATE TEMPORARY TABLE t (n bigint UNIQUE); INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)";
            let error = await_future(client.batch_execute(create)).unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
            assert_ne!(backend(&client), 0);

            let nobody = tokio_postgres::connect("host=127.0.0.1 port=1 user=nobody", NoTls);
            assert!(await_future(nobody).is_err_and(|error| error.code().is_none()));
        });
    });
}

#[test]
fn a_query_is_cancelled_from_another_actor() {
    within(PATIENCE, || {
        with_server(|address| {
            let (client, observer) = (connect(address), connect(address));
            let (token, process) = (client.cancel_token(), backend(&client));
            let sleeper = smarm::spawn(move || {
                let error = await_future(client.execute("SELECT pg_sleep(1000)", &[])).unwrap_err();
                assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
                backend(&client)
            });
            until_busy(&observer, process);
            await_future(token.cancel_query(NoTls)).unwrap();
            assert_eq!(sleeper.join().unwrap(), process);
        });
    });
}

#[test]
fn a_query_whose_actor_was_killed_can_be_cancelled_and_the_connection_lives_on() {
    within(PATIENCE, || {
        with_server(|address| {
            let (client, observer) = (Arc::new(connect(address)), connect(address));
            let (process, of_the_victim) = (backend(&client), client.clone());
            let victim = smarm::spawn(move || {
                await_future(of_the_victim.execute("SELECT pg_sleep(1000)", &[])).map(drop)
            });
            until_busy(&observer, process);
            kill(victim);
            await_future(client.cancel_token().cancel_query(NoTls)).unwrap();
            assert_eq!(backend(&client), process);
        });
    });
}

#[test]
fn a_connection_that_the_server_drops_ends_the_query_and_the_client() {
    within(PATIENCE, || {
        with_server(|address| {
            let (client, observer) = (connect(address), connect(address));
            let process = backend(&client);
            let sleeper = smarm::spawn(move || {
                let error = await_future(client.execute("SELECT pg_sleep(1000)", &[])).unwrap_err();
                assert!(error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN), "{error:?}");
                until(|| client.is_closed());
                assert!(await_future(client.execute("SELECT 1", &[])).unwrap_err().is_closed());
            });
            until_busy(&observer, process);
            await_future(observer.execute("SELECT pg_terminate_backend($1)", &[&process])).unwrap();
            sleeper.join().unwrap();
        });
    });
}

#[test]
fn a_client_whose_actor_is_killed_ends_the_connection_and_its_transaction() {
    within(PATIENCE, || {
        with_server(|address| {
            let observer = connect(address);
            let table = format!("killed_{}", backend(&observer));
            await_future(observer.batch_execute(&format!("CREATE TABLE {table} (n bigint)"))).unwrap();
            let (mut client, began) = (connect(address), Signal::new());
            let (process, begun) = (backend(&client), began.clone());
            let insert = format!("INSERT INTO {table} VALUES (1)");
            let victim = smarm::spawn(move || {
                let transaction = await_future(client.transaction()).unwrap();
                await_future(transaction.execute(&insert, &[])).unwrap();
                begun.raise();
                smarm::sleep(FOR_EVER);
                await_future(transaction.commit()).unwrap();
            });
            began.wait(1);
            kill(victim);
            until(|| {
                let gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1";
                await_future(observer.query_one(gone, &[&process])).unwrap().get(0)
            });
            let count = await_future(observer.query_one(&format!("SELECT count(*) FROM {table}"), &[]));
            assert_eq!(count.unwrap().get::<_, i64>(0), 0);
            await_future(observer.batch_execute(&format!("DROP TABLE {table}"))).unwrap();
        });
    });
}

#[test]
fn notifications_reach_an_actor_through_the_connection_that_it_drives() {
    within(PATIENCE, || {
        with_server(|address| {
            let (listener, mut connection) = await_future(tokio_postgres::connect(address, NoTls)).unwrap();
            let (sender, heard) = smarm::channel();
            let driver = smarm::spawn(move || {
                while let Some(message) = await_future(poll_fn(|cx| connection.poll_message(cx))) {
                    if let AsyncMessage::Notification(notification) = message.unwrap() {
                        sender.send(notification.payload().to_owned()).unwrap();
                    }
                }
            });
            let teller = connect(address);
            let name = format!("channel_{}", backend(&teller));
            await_future(listener.batch_execute(&format!("LISTEN {name}"))).unwrap();
            for n in 0..50 {
                await_future(teller.execute("SELECT pg_notify($1, $2)", &[&name, &n.to_string()])).unwrap();
            }
            for n in 0..50 {
                assert_eq!(heard.recv().unwrap(), n.to_string());
            }
            drop(listener);
            driver.join().unwrap();
        });
    });
}
