//! The seams without the feature: constants.

use super::Kind;
use crate::pid::Pid;

/// What a configuration says about chaos: nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice;

impl Choice {
    pub(crate) const NONE: Self = Self;

    #[inline(always)]
    pub(crate) fn settled(self) -> Self {
        self
    }
}

/// None.
pub(crate) struct Dice;

/// Undoes nothing.
pub(crate) struct Loaded<'a>(std::marker::PhantomData<&'a Dice>);

impl Dice {
    #[inline(always)]
    pub(crate) fn new(_: Choice, _: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn load(&self) -> Loaded<'_> {
        Loaded(std::marker::PhantomData)
    }
}

#[inline(always)]
pub(crate) const fn on() -> bool {
    false
}

#[inline(always)]
pub(crate) const fn strikes(_: Kind) -> bool {
    false
}

#[inline(always)]
pub(crate) const fn measures_slices() -> bool {
    true
}

#[inline(always)]
pub(crate) const fn below(_: usize) -> usize {
    0
}

#[inline(always)]
pub(crate) const fn by_tick(_: u32, _: u64) -> Option<u32> {
    None
}

#[inline(always)]
pub(crate) const fn threaten(_: Pid, _: u32) {}

#[inline(always)]
pub(crate) const fn due(_: Option<u32>) -> Option<Pid> {
    None
}

#[inline(always)]
pub(crate) const fn keep_choice() {}

#[inline(always)]
pub(crate) const fn take_choice() -> bool {
    false
}

#[inline(always)]
pub(crate) fn postscript() {}
