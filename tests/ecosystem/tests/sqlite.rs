//! sqlx with SQLite, whose pool actors share.

use std::str::FromStr;
use std::time::Duration;

use futures_util::TryStreamExt;
use smarm_compat::await_future;
use smarm_ecosystem::{Directory, in_every_mode, kill, task};
use smarm_workspace::{PATIENCE, Signal, within};
use sqlx::error::ErrorKind;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Error, Row, SqlitePool};

const FOR_EVER: Duration = Duration::from_secs(100_000);
const MOMENT: Duration = Duration::from_millis(20);

/// A database in a file, with one account of each of these balances.
fn database(directory: &Directory, connections: u32, balances: &[i64]) -> SqlitePool {
    let url = format!("sqlite://{}", directory.path().join("accounts").display());
    let options = SqliteConnectOptions::from_str(&url).unwrap().create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).busy_timeout(PATIENCE);
    await_future(async {
        let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options).await?;
        let table =
            "CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT UNIQUE, balance INTEGER NOT NULL)";
        sqlx::query(table).execute(&pool).await?;
        for (id, balance) in balances.iter().enumerate() {
            let row = sqlx::query("INSERT INTO account VALUES (?, ?, ?)").bind(id as i64);
            row.bind(format!("account {id}")).bind(balance).execute(&pool).await?;
        }
        Ok::<_, Error>(pool)
    })
    .unwrap()
}

fn balance(pool: &SqlitePool, id: i64) -> i64 {
    let row = sqlx::query("SELECT balance FROM account WHERE id = ?").bind(id).fetch_one(pool);
    await_future(row).unwrap().get(0)
}

async fn add(pool: &SqlitePool, id: i64, amount: i64) -> Result<(), Error> {
    let update = sqlx::query("UPDATE account SET balance = balance + ? WHERE id = ?").bind(amount).bind(id);
    update.execute(pool).await.map(drop)
}

/// Runs `test` as an actor in every mode, with a directory for its database.
fn with_directory(test: fn(&Directory)) {
    in_every_mode(move || test(&Directory::new()));
}

#[test]
fn actors_and_tasks_share_a_pool_of_connections() {
    within(PATIENCE, || {
        with_directory(|directory| {
            let pool = database(directory, 3, &[0]);
            let actors: Vec<_> = (0..8)
                .map(|_| {
                    let pool = pool.clone();
                    smarm::spawn(move || (0..10).for_each(|_| await_future(add(&pool, 0, 1)).unwrap()))
                })
                .collect();
            let of_the_task = pool.clone();
            let task = task(async move {
                for _ in 0..10 {
                    add(&of_the_task, 0, 100).await.unwrap();
                }
            });
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            task.join();
            assert_eq!(balance(&pool, 0), 1080);
            await_future(pool.close());
        });
    });
}

#[test]
fn rows_stream_into_an_actor() {
    within(PATIENCE, || {
        with_directory(|directory| {
            let pool = database(directory, 1, &[0; 100]);
            let mut rows = sqlx::query("SELECT id, name FROM account ORDER BY id").fetch(&pool);
            for id in 0..100_i64 {
                let row = await_future(rows.try_next()).unwrap().unwrap();
                assert_eq!(row.get::<i64, _>("id"), id);
                assert_eq!(row.get::<String, _>("name"), format!("account {id}"));
            }
            assert!(await_future(rows.try_next()).unwrap().is_none());
            drop(rows);
            await_future(pool.close());
        });
    });
}

#[test]
fn a_transaction_takes_effect_when_it_is_committed_and_never_when_it_is_dropped() {
    within(PATIENCE, || {
        with_directory(|directory| {
            let pool = database(directory, 1, &[100, 0]);
            let transfer = |commit| {
                await_future(async {
                    let mut transaction = pool.begin().await?;
                    for (id, amount) in [(0, -40), (1, 40)] {
                        let update = sqlx::query("UPDATE account SET balance = balance + ? WHERE id = ?");
                        update.bind(amount).bind(id).execute(&mut *transaction).await?;
                    }
                    if commit { transaction.commit().await } else { Ok(()) }
                })
                .unwrap();
            };
            transfer(false);
            assert_eq!((balance(&pool, 0), balance(&pool, 1)), (100, 0));
            transfer(true);
            assert_eq!((balance(&pool, 0), balance(&pool, 1)), (60, 40));
            await_future(pool.close());
        });
    });
}

#[test]
fn errors_of_the_database_come_to_the_actor_and_the_connection_lives_on() {
    within(PATIENCE, || {
        with_directory(|directory| {
            let pool = database(directory, 1, &[7]);
            let twice = sqlx::query("INSERT INTO account VALUES (1, 'account 0', 0)").execute(&pool);
            match await_future(twice) {
                Err(Error::Database(error)) => assert_eq!(error.kind(), ErrorKind::UniqueViolation),
                other => panic!("{other:?}"),
            }
            let wrong = sqlx::query("SELECT nonsense").execute(&pool);
            assert!(matches!(await_future(wrong), Err(Error::Database(_))));
            let missing = sqlx::query("SELECT * FROM account WHERE id = 5").fetch_one(&pool);
            assert!(matches!(await_future(missing), Err(Error::RowNotFound)));
            assert_eq!(balance(&pool, 0), 7);
            await_future(pool.close());
        });
    });
}

#[test]
fn an_actor_that_is_killed_gives_back_its_connection_and_undoes_its_transaction() {
    within(PATIENCE, || {
        with_directory(|directory| {
            let pool = database(directory, 1, &[100]);
            let (of_the_victim, taken) = (pool.clone(), Signal::new());
            let took = taken.clone();
            let victim = smarm::spawn(move || {
                let mut transaction = await_future(of_the_victim.begin()).unwrap();
                await_future(sqlx::query("UPDATE account SET balance = 0").execute(&mut *transaction))
                    .unwrap();
                took.raise();
                smarm::sleep(FOR_EVER);
                await_future(transaction.commit()).unwrap();
            });
            taken.wait(1);
            kill(victim);
            assert_eq!(balance(&pool, 0), 100);
            await_future(pool.close());
        });
    });
}

#[test]
fn a_pool_without_a_free_connection_times_out_and_serves_again_afterwards() {
    within(PATIENCE, || {
        with_directory(|directory| {
            let file = database(directory, 1, &[1]);
            let options = file.connect_options();
            let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(MOMENT);
            let pool = pool.connect_lazy_with((*options).clone());
            let held = loop {
                // On a busy machine the connection itself may take longer.
                if let Ok(held) = await_future(pool.acquire()) {
                    break held;
                }
            };
            assert!(matches!(await_future(pool.acquire()), Err(Error::PoolTimedOut)));
            drop(held);
            while await_future(pool.acquire()).is_err() {}
            await_future(pool.close());
            assert!(matches!(await_future(pool.acquire()), Err(Error::PoolClosed)));
            await_future(file.close());
        });
    });
}

#[test]
fn a_query_that_is_given_up_leaves_the_connection_in_order() {
    within(PATIENCE, || {
        with_directory(|directory| {
            let pool = database(directory, 1, &[5]);
            for _ in 0..20 {
                let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT sum(i) FROM n";
                let given_up = smarm_compat::await_timeout(
                    Duration::from_micros(200),
                    sqlx::query(long).fetch_one(&pool),
                );
                if let Ok(sum) = given_up {
                    assert_eq!(sum.unwrap().get::<i64, _>(0), 200_010_000);
                }
                assert_eq!(balance(&pool, 0), 5);
            }
            await_future(pool.close());
        });
    });
}
