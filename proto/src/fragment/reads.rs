//! The tables that a fragment reads.

use crate::wire::{Fragment, Read, Rel, rel::Kind};

/// Every `Read` of a fragment, also of one that was not checked.
pub fn reads(fragment: &Fragment) -> Vec<&Read> {
    let mut found = Vec::new();
    // A stack of its own: the depth of a foreign message must not decide how much of the thread's stack is used.
    let mut next: Vec<&Rel> = fragment.root.iter().collect();
    while let Some(rel) = next.pop() {
        match &rel.kind {
            None => {}
            Some(Kind::Read(read)) => found.push(read),
            Some(Kind::Filter(rel)) => next.extend(rel.input.as_deref()),
            Some(Kind::Project(rel)) => next.extend(rel.input.as_deref()),
            Some(Kind::Aggregate(rel)) => next.extend(rel.input.as_deref()),
            Some(Kind::SortLimit(rel)) => next.extend(rel.input.as_deref()),
            Some(Kind::Join(join)) => next.extend(join.right.as_deref().into_iter().chain(join.left.as_deref())),
        }
    }
    found
}
