use smarm::channel::{bounded, channel, oneshot};
use smarm::select;
use smarm_workspace::{PATIENCE, within, workers};
use std::time::Duration;

#[test]
fn smoke() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (tx, rx) = channel::<u32>();
            let (btx, brx) = bounded::<u32>(0);
            let mut slot = Some(3);
            let mut child = smarm::spawn(move || smarm::sleep(Duration::from_millis(5)));
            let m = smarm::Mutex::new(1);
            let g = m.lock(Duration::MAX).unwrap();
            let mut n = 0;
            let mut joined = false;
            loop {
                let x: u32 = select! {
                    Ok(v) = recv(&rx) => v,
                    r = send(&btx, &mut slot), if slot.is_some() => { r.unwrap(); 1 }
                    r = join(&mut child), if !joined => { r.unwrap(); joined = true; tx.send(77).unwrap(); continue },
                    l = lock(&m) => { drop(l); 5 }
                    () = after(Duration::from_secs(20)) => break,
                    () = future(std::future::pending()) => 4,
                    x = future(async { tokio::task::yield_now().await; 9 }), if false => x,
                };
                n += 1;
                assert_eq!(x, 77);
                break;
            }
            assert_eq!(n, 1);
            assert_eq!(slot, Some(3));
            drop(g);
            drop(brx);
            let c = select! { biased; r = send(&btx, &mut slot) => r.is_err(), default => false };
            assert!(c);
            let (a, mut b) = oneshot::channel();
            a.send(1).unwrap();
            let v = select! { r = recv(&mut b) => r.unwrap() };
            assert_eq!(v, 1);
        });
    });
}
