#![allow(missing_docs)]
use smarm_compat::await_future;
fn main() {
    let mode = std::env::args().nth(1).unwrap();
    smarm_compat::Builder::new().workers(1).run(move || {
        let n = 1_000_000u32;
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel::<tokio::sync::oneshot::Sender<u32>>();
        tokio::spawn(async move {
            let mut i = 0;
            while let Some(s) = rx.recv().await {
                i += 1;
                let _ = s.send(i);
            }
        });
        match &*mode {
            "actor" => {
                for _ in 0..n {
                    let (a, b) = tokio::sync::oneshot::channel();
                    tx.send(a).unwrap();
                    await_future(b).unwrap();
                }
            }
            "task" => {
                await_future(tokio::spawn(async move {
                    for _ in 0..n {
                        let (a, b) = tokio::sync::oneshot::channel();
                        tx.send(a).unwrap();
                        b.await.unwrap();
                    }
                }))
                .unwrap();
            }
            "ready" => {
                for _ in 0..n {
                    await_future(std::future::ready(()));
                }
            }
            "yield" => {
                let h = smarm::spawn(move || {
                    for _ in 0..n / 2 {
                        smarm::yield_now()
                    }
                });
                for _ in 0..n / 2 {
                    smarm::yield_now()
                }
                h.join().unwrap();
            }
            "spawn" => {
                for _ in 0..n {
                    smarm::spawn(|| ()).join().unwrap()
                }
            }
            _ => {}
        }
    });
}
