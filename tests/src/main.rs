//! Plays every role of the platform: `roles --role hub -- serve --config hub.toml`. With `EGER_TEST_TAP=FOLDER` the
//! plaintext of every link is recorded there.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = tests::tap::record_if_asked() {
        eprintln!("can't record links: {error:#}");
        return ExitCode::FAILURE;
    }
    demo::role::play(std::env::args_os()).unwrap_or_else(|| {
        eprintln!("usage: roles --role custodian|spoke|hub|issuer -- ARGUMENTS");
        ExitCode::from(2)
    })
}
