//! Reading single values as controllers write them. Pure functions from bytes to typed values.
//!
//! INVARIANT: what does not fit is an error with a reason; nothing is guessed, and no reason repeats the value.

mod class;
mod date;
mod number;
mod person;

pub(crate) use class::class_of;
pub(crate) use date::{day, timestamp};
pub(crate) use number::{boolean, decimal, float, integer};
pub(crate) use person::{looks_like_person_number, person};

use std::borrow::Cow;

/// Why a value does not fit its column. Says what was expected, never what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) Cow<'static, str>);

impl Misfit {
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

/// Without spaces and tabs at either end.
pub(crate) fn trimmed(mut field: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = field {
        field = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = field {
        field = rest;
    }
    field
}
