//! What the hub is told of the work, with the end of an answer: exact only where nobody is hidden from the asker.

use super::fixture::{Fixture, Hub, LMDB, PEOPLE, ROWS, filtered, read, request};
use arrow_flight::Ticket;
use datafusion::{
    common::ScalarValue,
    prelude::{col, lit},
};
use prost::Message;
use proto::wire::{Measured, Rel, Zone};

async fn told(hub: &mut Hub, project: &str, zone: Zone, root: Rel) -> Measured {
    let mut request = request(root);
    let envelope = request.envelope.as_mut().unwrap();
    (envelope.project, envelope.zone) = (project.to_owned(), zone.into());
    let ticket = Ticket { ticket: request.encode_to_vec().into() };
    let mut answer = hub.flight.do_get(ticket).await.unwrap().into_inner();
    while answer.message().await.unwrap().is_some() {}
    proto::measured::read(&answer.trailers().await.unwrap().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_told_only_where_nobody_is_hidden() {
    let spoke = Fixture::new().await;
    let some = format!("{LMDB}row_filter = \"row < 160\"\n");
    spoke.grant("cancer", "enclave", &["anna@example.org"], &some);
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let all = || read(&["row", "pnr"]);
    let exact = told(&mut hub, "diabetes", Zone::Enclave, all()).await;
    assert_eq!((exact.exact, exact.rows_read), (true, ROWS as u64));
    assert!(exact.bytes_read > 0 && exact.groups_read > 0, "{exact:?}");
    let open = told(&mut hub, "diabetes", Zone::Open, all()).await;
    let coarse =
        |measured: &Measured| Measured { waited_ms: 1_000, worked_ms: measured.worked_ms, ..Measured::default() };
    assert_eq!(open, coarse(&open));
    assert!(open.worked_ms == 1_000 || open.worked_ms.is_power_of_two());

    // Somebody whom the permit's filter hides, and somebody who is in no table: row groups are read for the one alone,
    // and nothing of that is told.
    let of = |bytes: [u8; 16]| {
        filtered(&["row"], &col("pnr").eq(lit(ScalarValue::FixedSizeBinary(16, Some(bytes.to_vec())))))
    };
    for person in [of(spoke.pseudonym("cancer", PEOPLE - 1)), of([7; 16])] {
        let hidden = told(&mut hub, "cancer", Zone::Enclave, person).await;
        assert_eq!(hidden, coarse(&hidden));
    }
}
