//! tokio's files, processes and signals.

use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use smarm_compat::io::SyncIo;
use smarm_compat::{await_future, await_timeout};
use smarm_ecosystem::{Directory, in_every_mode, kill};
use smarm_workspace::{PATIENCE, Signal, within};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

const LONG: usize = 300_000;
const MOMENT: Duration = Duration::from_millis(20);

fn long() -> Vec<u8> {
    (0..LONG).map(|n| (n % 251) as u8).collect()
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[test]
fn actors_write_read_and_list_files_through_tokio() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let directory = Directory::new();
            let actors: Vec<_> = (0..8)
                .map(|n| {
                    let path = directory.path().join(n.to_string());
                    smarm::spawn(move || {
                        await_future(fs::write(&path, long())).unwrap();
                        let moved = path.with_extension("moved");
                        await_future(fs::rename(&path, &moved)).unwrap();
                        assert!(await_future(fs::read(&moved)).unwrap() == long());
                        assert_eq!(await_future(fs::metadata(&moved)).unwrap().len(), LONG as u64);
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            let mut names = await_future(async {
                let mut entries = fs::read_dir(directory.path()).await.unwrap();
                let mut names = Vec::new();
                while let Some(entry) = entries.next_entry().await.unwrap() {
                    names.push(entry.file_name().into_string().unwrap());
                }
                names
            });
            names.sort();
            assert_eq!(names, (0..8).map(|n| format!("{n}.moved")).collect::<Vec<_>>());
        });
    });
}

#[test]
fn a_file_of_tokio_has_the_traits_of_std_in_an_actor() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let directory = Directory::new();
            let path = directory.path().join("lines");
            let mut how = OpenOptions::new();
            how.create(true).truncate(true).read(true).write(true);
            let mut file = SyncIo::new(await_future(how.open(path)).unwrap());
            for n in 0..1000 {
                writeln!(file, "line {n}").unwrap();
            }
            file.flush().unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            let mut lines = BufReader::new(&mut file).lines();
            assert!((0..1000).all(|n| lines.next().unwrap().unwrap() == format!("line {n}")));
            assert!(lines.next().is_none());
            file.seek(SeekFrom::Start(5)).unwrap();
            let mut byte = [0];
            file.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"0");
            await_future(async {
                let file = file.get_mut();
                file.seek(SeekFrom::End(-4)).await.unwrap();
                let mut end = String::new();
                file.read_to_string(&mut end).await.unwrap();
                assert_eq!(end, "999\n");
            });
        });
    });
}

#[test]
fn errors_of_the_file_system_come_to_the_actor() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let directory = Directory::new();
            let missing = directory.path().join("missing");
            assert_eq!(await_future(File::open(&missing)).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(await_future(fs::remove_dir(&missing)).unwrap_err().kind(), ErrorKind::NotFound);
            let mut read_only = await_future(async {
                fs::write(&missing, "now it is there").await.unwrap();
                File::open(&missing).await.unwrap()
            });
            let written = await_future(async {
                read_only.write_all(b"no").await?;
                read_only.flush().await
            });
            assert!(written.is_err());
            let mut anew = OpenOptions::new();
            anew.write(true).create_new(true);
            assert_eq!(await_future(anew.open(&missing)).unwrap_err().kind(), ErrorKind::AlreadyExists);
        });
    });
}

#[test]
fn actors_start_processes_and_get_what_they_say_and_how_they_ended() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let actors: Vec<_> = (0..4)
                .map(|n| {
                    smarm::spawn(move || {
                        let script = format!("echo out {n}; echo err {n} >&2; exit {n}");
                        let output = await_future(shell(&script).output()).unwrap();
                        assert_eq!(output.stdout, format!("out {n}\n").into_bytes());
                        assert_eq!(output.stderr, format!("err {n}\n").into_bytes());
                        assert_eq!(output.status.code(), Some(n));
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            let ended = await_future(shell("kill -TERM $$").status()).unwrap();
            assert_eq!(ended.signal(), Some(15));
            let missing = Command::new("/there/is/no/such/program").spawn().unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
        });
    });
}

#[test]
fn an_actor_talks_with_a_process_by_the_traits_of_std() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let mut child = Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut stdin = SyncIo::new(child.stdin.take().unwrap());
            let mut stdout = BufReader::new(SyncIo::new(child.stdout.take().unwrap()));
            for n in 0..100 {
                writeln!(stdin, "line {n}").unwrap();
                let mut line = String::new();
                stdout.read_line(&mut line).unwrap();
                assert_eq!(line, format!("line {n}\n"));
            }
            // More than fits a pipe: one actor writes while another reads.
            let writer = smarm::spawn(move || stdin.write_all(&long()));
            let mut heard = Vec::new();
            stdout.read_to_end(&mut heard).unwrap();
            writer.join().unwrap().unwrap();
            assert!(heard == long());
            assert!(await_future(child.wait()).unwrap().success());
        });
    });
}

#[test]
fn a_process_that_takes_too_long_can_be_killed_and_waited_for() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let mut child = shell("exec sleep 1000").spawn().unwrap();
            assert!(await_timeout(MOMENT, child.wait()).is_err());
            assert!(child.try_wait().unwrap().is_none());
            await_future(child.kill()).unwrap();
            assert_eq!(await_future(child.wait()).unwrap().signal(), Some(9));
        });
    });
}

#[test]
fn a_process_goes_with_the_actor_that_is_killed() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (reader, writer) = std::io::pipe().unwrap();
            let started = Signal::new();
            let begun = started.clone();
            let actor = smarm::spawn(move || {
                let mut child =
                    shell("exec sleep 1000").stdout(Stdio::from(OwnedFd::from(writer))).spawn().unwrap();
                begun.raise();
                await_future(child.wait()).map(drop)
            });
            started.wait(1);
            kill(actor);
            // The pipe ends with the last process that can write to it.
            let mut reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).unwrap();
            assert_eq!(await_future(reader.read(&mut [0; 1])).unwrap(), 0);
        });
    });
}

#[test]
fn a_signal_reaches_all_actors_that_wait_for_it() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let ready = Signal::new();
            let actors: Vec<_> = (0..4)
                .map(|_| {
                    let ready = ready.clone();
                    smarm::spawn(move || {
                        let mut signals = signal(SignalKind::user_defined1()).unwrap();
                        for _ in 0..5 {
                            ready.raise();
                            await_future(signals.recv()).unwrap();
                        }
                    })
                })
                .collect();
            for round in 1..=5 {
                ready.wait(4 * round);
                let script = format!("kill -USR1 {}", std::process::id());
                assert!(await_future(shell(&script).status()).unwrap().success());
            }
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert!(signal(SignalKind::from_raw(9)).is_err(), "SIGKILL cannot be handled");
        });
    });
}

#[test]
fn an_interrupt_ends_a_service_in_an_actor() {
    within(PATIENCE, || {
        in_every_mode(|| {
            // `ctrl_c` handles SIGINT from its first poll; this does so at once.
            let _handled = signal(SignalKind::interrupt()).unwrap();
            let serving = Signal::new();
            let serves = serving.clone();
            let service = smarm::spawn(move || {
                await_future(async {
                    let interrupt = tokio::signal::ctrl_c();
                    tokio::pin!(interrupt);
                    let mut ticks = tokio::time::interval(Duration::from_millis(1));
                    loop {
                        tokio::select! {
                            biased;
                            heard = &mut interrupt => break heard,
                            _ = ticks.tick() => serves.raise(),
                        }
                    }
                })
            });
            serving.wait(2);
            let script = format!("kill -INT {}", std::process::id());
            assert!(await_future(shell(&script).status()).unwrap().success());
            service.join().unwrap().unwrap();
        });
    });
}
