//! Compiles `proto/eger/v1/*.proto` with a compiler written in Rust, so that no `protoc` is needed.

use std::error::Error;

const FILES: [&str; 5] = [
    "eger/v1/fragment.proto",
    "eger/v1/quick.proto",
    "eger/v1/spoke.proto",
    "eger/v1/gateway.proto",
    "eger/v1/custodian.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(descriptors)?;
    Ok(())
}
