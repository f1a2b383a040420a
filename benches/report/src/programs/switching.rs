//! Giving way to others.

use std::sync::Arc;
use std::time::Duration;

use crate::meeting::Meeting;

use super::super::World;

program! {
    /// So many give way in turn, `rounds` times each. Until all have started, those that have give way to
    /// the others; that is not measured, nor is their end. All are spawned at once, as whoever spawns a million
    /// among actors that give way would be made to do so a hundred times.
    pub fn yields(count: usize, rounds: u64) -> Duration {
        let meeting = Arc::new(Meeting::new(count));
        let mut actors = Vec::with_capacity(count);
        let undisturbed = W::undisturbed();
        for _ in 0..count {
            let meeting = meeting.clone();
            actors.push(go!({
                meeting.arrive();
                while !meeting.all_here() {
                    wait!(W::yield_now());
                }
                let mut done = 0;
                while done < rounds {
                    wait!(W::yield_now());
                    done += 1;
                }
                meeting.leave();
                done
            }));
        }
        drop(undisturbed);
        let mut done = 0;
        for actor in actors {
            done += wait!(W::join(actor));
        }
        assert_eq!(done, count as u64 * rounds);
        meeting.elapsed()
    }
}
