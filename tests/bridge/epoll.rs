//! A worker, its actors and its tasks wait in one epoll.

use std::io::Read;
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream};
use smarm_compat::await_future;
use smarm_workspace::{child, workers};

use crate::bridge_support::epolls::epolls;
use crate::bridge_support::{on_tokio, spawn_on, tokio_of};

const FOR_EVER: Duration = Duration::from_secs(100_000);

#[test]
fn each_worker_has_one_epoll_for_both_worlds() {
    use tokio::io::AsyncReadExt;
    child::run_well(|| {
        assert_eq!(epolls().len(), 0);
        let native = workers(1);
        native.run(|| assert_eq!(epolls().len(), 1)); // the count counts
        drop(native);
        for workers in [1, 2, 3] {
            on_tokio(workers).run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                for worker in 0..workers {
                    // Detached: they wait until the runtime goes.
                    drop(spawn_on(worker, move || {
                        drop(TcpStream::connect(address).unwrap().read(&mut [0; 1]))
                    }));
                    drop(spawn_on(worker, move || {
                        let mut stream = await_future(tokio::net::TcpStream::connect(address)).unwrap();
                        drop(await_future(stream.read(&mut [0; 1])));
                    }));
                    tokio_of(worker).spawn(async move {
                        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                        drop(stream.read(&mut [0; 1]).await);
                    });
                    drop(spawn_on(worker, || smarm::sleep(FOR_EVER)));
                }
                let peers: Vec<_> = (0..3 * workers).map(|_| listener.accept().unwrap()).collect();
                (0..workers).for_each(|worker| drop(spawn_on(worker, smarm::yield_now).join()));
                let epolls = epolls();
                assert_eq!(epolls.len(), workers, "{epolls:?}");
                drop(peers);
            });
        }
    });
}
