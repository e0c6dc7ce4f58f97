//! The hub's binary. Everything is in the library, so that the demo can play this role.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hub::cli::main(std::env::args_os())
}
