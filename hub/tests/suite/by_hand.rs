//! A hub to try other clients on: `EGER_HAND=FILE cargo nextest run -p hub --run-ignored only by_hand` writes address and
//! token to FILE and stays up until FILE is removed.

use crate::house::{ANNA, two};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for trying other clients by hand"]
async fn by_hand() {
    let Some(file) = std::env::var_os("EGER_HAND") else { return };
    let two = two().await;
    let token = two.house.token(ANNA).await;
    std::fs::write(&file, format!("{}\n{}\n{token}\n", two.house.at.enclave, two.house.at.open)).unwrap();
    while std::path::Path::new(&file).exists() {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
