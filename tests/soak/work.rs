//! The works. Each begins and ends with nothing, checks what it was promised, and panics if that is not so.

mod lives;
mod messages;
mod sharing;
mod sockets;
mod tasks;

use crate::crew::Site;
use crate::dice::Dice;

type Work = fn(&mut Dice, &Site);

/// All of them, by name.
pub(crate) const ALL: [(&str, Work); 13] = [
    ("channels", messages::channels),
    ("oneshots", messages::oneshots),
    ("mailboxes", messages::mailboxes),
    ("mutex", sharing::mutex),
    ("timers", sharing::timers),
    ("scopes", sharing::scopes),
    ("blocking calls", sharing::blocking_calls),
    ("streams", sockets::streams),
    ("listeners", sockets::listeners),
    ("families", lives::families),
    ("deep stacks", lives::deep_stacks),
    ("runtimes", lives::runtimes),
    ("tasks", tasks::tasks),
];
