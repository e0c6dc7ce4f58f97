//! The airlock: how results that researchers made inside the secure environment leave it.
//!
//! [`Form`] is what a researcher says about the files; [`Form::check`] names every problem. [`State::next`] is all that can
//! happen to a submission, [`settle`] what several checkers' reviews come to. [`Release`] is the hub's signed word that
//! it let a crate out.
//!
//! INVARIANT: nothing here sees who a checker is; a review counts by its organisation.
//! INVARIANT: no message repeats a value of a free text; somebody may have written a person number there.

mod check;
mod form;
mod name;
mod release;
mod review;
mod state;

pub use check::{MOST_FILES, Output, Submission};
pub use form::{EXAMPLE, FileForm, Form};
pub use name::{FileName, NameError};
pub use release::{RELEASE, Release, ReleaseError};
pub use review::{FileReview, Outcome, Review, ReviewError, Verdict, settle};
pub use state::{Event, Illegal, State};
