//! Two actors and a channel: a child prints what its parent sends.
//!
//! `cargo run --example quickstart`

fn main() {
    smarm::run(|| {
        let (sender, receiver) = smarm::channel();
        let child = smarm::spawn(move || {
            for value in &receiver {
                println!("the child received {value}");
            }
        });
        for value in 1..=3 {
            sender.send(value).expect("the child receives until all senders are gone");
        }
        drop(sender);
        child.join().expect("the child does not panic");
    });
}
