//! What the end-to-end tests and the benchmarks share: searching for secrets, tapping links, looking at processes.

pub mod process;
pub mod relay;
pub mod search;
pub mod tap;
