//! The `custodian` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    custodian::cli::main(std::env::args_os())
}
