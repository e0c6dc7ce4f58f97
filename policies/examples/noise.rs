//! Prints the table of noise as it is published: `cargo run -p policies --example noise > policies/disclosure/noise.csv`.

fn main() {
    print!("{}", policies::disclosure::noise::generate::csv());
}
