//! The seams without the feature: no simulation, and constants.

use std::io;
use std::time::Instant;

use crate::actor::slot::Slot;
use crate::pid::Pid;

#[inline(always)]
pub(crate) const fn epoch() -> Option<Instant> {
    None
}

#[inline(always)]
pub(crate) const fn spawned(_: &Slot) {}

#[inline(always)]
pub(crate) const fn ran(_: &Slot) {}

#[inline(always)]
pub(crate) const fn ended(_: &Slot) {}

#[inline(always)]
pub(crate) const fn deliver() {}

#[inline(always)]
pub(crate) const fn mail_came() {}

#[inline(always)]
pub(crate) const fn sooner(timer: Option<u64>) -> Option<u64> {
    timer
}

#[inline(always)]
pub(crate) const fn draw() -> Option<u64> {
    None
}

#[inline(always)]
pub(crate) const fn is_turn_over(_: u32) -> Option<bool> {
    None
}

#[inline(always)]
pub(crate) const fn unnoticed_panic(_: Pid, _: &str, _: &str, _: &str) -> bool {
    false
}

#[cfg(feature = "chaos")]
pub(crate) const fn postscript() -> bool {
    false
}

#[inline(always)]
pub(crate) const fn refuse(_: &str) {}

#[inline(always)]
pub(crate) const fn refuse_real(_: &str) -> io::Result<()> {
    Ok(())
}
