//! One program that plays every role: `demo --role spoke -- serve --config spoke.toml`.

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

/// Set for children that serve: they end when the pipe on their standard input does, so that nothing outlives the
/// process that started it, however that one ends.
pub const WATCH: &str = "EGER_DEMO_WATCH_STDIN";

/// After the end of the pipe: how long a role may take to stop in order.
const GRACE: Duration = Duration::from_secs(10);

/// Plays a role when the arguments (program name first) ask for one.
pub fn play(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1).peekable();
    if args.peek()? != "--role" {
        return None;
    }
    let role = args.nth(1).unwrap_or_default();
    let separator = args.next().unwrap_or_default();
    if separator != "--" {
        eprintln!("usage: --role custodian|spoke|hub|issuer -- ARGUMENTS");
        return Some(ExitCode::from(2));
    }
    watch();
    let rest = std::iter::once(role.clone()).chain(args);
    Some(match role.to_string_lossy().as_ref() {
        "custodian" => custodian::cli::main(rest),
        "spoke" => spoke::cli::main(rest),
        "hub" => hub::cli::main(rest),
        "issuer" => crate::issuer::main(rest),
        other => {
            eprintln!("there is no role '{other}'; choose custodian, spoke, hub or issuer");
            ExitCode::from(2)
        }
    })
}

/// With [`WATCH`] in the environment: ends this process, in order if possible, when standard input ends.
pub fn watch() {
    if std::env::var_os(WATCH).is_none() {
        return;
    }
    std::thread::spawn(|| {
        let mut sink = [0; 64];
        let mut input = std::io::stdin();
        while matches!(input.read(&mut sink), Ok(n) if n > 0) {}
        // the same way that an operator stops a role
        let _ = std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
        std::thread::sleep(GRACE);
        std::process::exit(1);
    });
}
