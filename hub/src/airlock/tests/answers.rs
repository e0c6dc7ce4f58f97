//! Answers of the platform that leave at once: what they tell of a submission, and how much room they take.
use super::*;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use policies::disclosure::{PERTURBED, STATUS_COLUMN};

fn batch<T: AsRef<str>>(groups: &[(T, i64)]) -> RecordBatch {
    let kom: ArrayRef = Arc::new(StringArray::from_iter_values(groups.iter().map(|(kom, _)| kom.as_ref())));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(groups.iter().map(|(_, n)| *n)));
    let status: ArrayRef = Arc::new(StringArray::from(vec![PERTURBED; groups.len()]));
    RecordBatch::try_from_iter([("kom", kom), ("n", n), (STATUS_COLUMN, status)]).unwrap()
}

/// The same answer to each query of a form.
pub(super) async fn answered<T: AsRef<str>>(
    airlock: &Airlock,
    form: &Submission,
    groups: &[(T, i64)],
) -> Result<SubmissionRecord, AirlockError> {
    let answers = form.files.iter().map(|file| (file.name.to_string(), vec![batch(groups)])).collect();
    airlock.answered(form, answers, &BTreeMap::new(), &anna(), day(0)).await
}

const TEXT: &str = "kom,n\n101,120\n147,45\n";
const GROUPS: [(&str, i64); 2] = [("101", 120), ("147", 45)];

async fn said(airlock: &Airlock, form: &Submission, groups: &[(&str, i64)]) -> String {
    // Before the open zone is asked, or after: the same.
    let before = airlock.may_answer(form).await.err().map(|error| error.to_string());
    let after = answered(airlock, form, groups).await.unwrap_err().to_string();
    assert!(before.is_none_or(|before| before == after), "{after}");
    after
}

#[tokio::test]
async fn attack_an_answer_tells_nothing_of_what_checkers_have_not_approved() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let none = said(&airlock, &following(&SubmissionId::new(), &["a.csv"]), &GROUPS).await;
    assert!(none.contains("that checkers have approved"), "{none}");
    let [a_draft, passed, sent, wrong, back] = {
        let a_draft = draft(&airlock, &form(&["a.csv"]), &[("a.csv", TEXT)]).await;
        let passed = checked(&airlock, "a.csv", TEXT).await;
        let [sent, wrong, back] = [
            checked(&airlock, "a.csv", TEXT).await,
            checked(&airlock, "a.csv", TEXT).await,
            checked(&airlock, "a.csv", TEXT).await,
        ];
        for id in [&sent, &wrong] {
            send(&airlock, id).await.unwrap();
        }
        decided(&airlock, &wrong, Verdict::ChangesRequested).await;
        airlock.withdraw(&back, &anna(), day(0)).await.unwrap();
        [a_draft, passed, sent, wrong, back]
    };
    let states = [State::Draft, State::Checked, State::UnderReview, State::ChangesRequested, State::Withdrawn];
    for (id, of) in [a_draft, passed, sent, wrong, back].iter().zip(states) {
        assert_eq!(state(&airlock, id).await, of);
        // The same table, another one, and one of other groups.
        for groups in [&GROUPS[..], &[("101", 121), ("147", 45)], &GROUPS[..1]] {
            assert_eq!(said(&airlock, &following(id, &["a.csv"]), groups).await, none, "{of}");
        }
    }
    assert!(!log(dir.path()).contains("compared_outside"));
}

#[tokio::test]
async fn attack_an_answer_tells_not_where_an_approved_table_differs_and_not_often() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let files = [("a.csv", TEXT), ("inside.csv", TEXT)];
    let id = draft(&airlock, &form(&["a.csv", "inside.csv"]), &files).await;
    airlock.check(&id, &anna(), day(0)).await.unwrap();
    send(&airlock, &id).await.unwrap();
    decided(&airlock, &id, Verdict::Approved).await;
    let of = following(&id, &["a.csv"]);
    let other = said(&airlock, &of, &[("101", 121), ("147", 45)]).await;
    // One row more, one less, the second row, another group; and files that aren't there or that nobody lets out.
    for groups in
        [&[GROUPS[0], GROUPS[1], ("151", 9)][..], &GROUPS[..1], &[GROUPS[0], ("147", 46)], &[("101", 120), ("151", 45)]]
    {
        assert_eq!(said(&airlock, &of, groups).await, other);
    }
    assert!(!other.bytes().any(|byte| byte.is_ascii_digit()), "{other}");
    for name in ["b.csv", "inside.csv"] {
        let mut of = following(&id, &["b.csv"]);
        of.files[0].name = name.parse().unwrap();
        assert_eq!(said(&airlock, &of, &GROUPS).await, other.replace("a.csv", name), "{name}");
    }
    // The same is the same, until it was asked too often.
    assert!(answered(&airlock, &of, &GROUPS).await.unwrap().computed);
    for _ in 8..20 {
        assert_eq!(said(&airlock, &of, &GROUPS[..1]).await, other);
    }
    for groups in [&GROUPS[..], &GROUPS[..1]] {
        assert!(said(&airlock, &of, groups).await.contains("compared 20 times"));
    }
    let compared = log(dir.path()).lines().filter(|line| line.contains("\"compared_outside\"")).count();
    assert_eq!(compared, 20);
}

#[tokio::test]
async fn attack_answers_cannot_fill_the_airlock() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let of = form(&["a.csv"]);
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(answered(&airlock, &of, &GROUPS).await.unwrap().id);
    }
    let full = said(&airlock, &of, &GROUPS).await;
    assert!(full.contains("nobody has taken out"), "{full}");
    // One that left takes no place; the others go by themselves, with their files.
    release(&airlock, &waiting[0]).await.unwrap();
    answered(&airlock, &of, &GROUPS).await.unwrap();
    let last = airlock.get(&waiting[1]).await.unwrap();
    assert_eq!(airlock.expires_at(&last), Some(day(30)));
    assert_eq!(airlock.expire(day(30)).await.unwrap(), 20);
    assert_eq!(state(&airlock, &waiting[1]).await, State::Withdrawn);
    assert!(!dir.path().join("airlock").join(waiting[1].to_string()).exists());
    assert_eq!(state(&airlock, &waiting[0]).await, State::Released);
    // Those that people have approved stay.
    let theirs = approved(&airlock, "b.csv", TEXT).await;
    assert_eq!(airlock.expire(day(5_000)).await.unwrap(), 0);
    assert_eq!(state(&airlock, &theirs).await, State::Approved);
    // One that is too large, and all that have left together.
    let long: Vec<(String, i64)> = (0..10_000).map(|nth| (format!("{nth:0>900}"), 120)).collect();
    let large = answered(&airlock, &of, &long).await.unwrap_err().to_string();
    assert!(large.contains("Aggregate it more"), "{large}");
    let many = form(&["a.csv", "b.csv", "c.csv", "d.csv", "e.csv"]);
    let large = answered(&airlock, &many, &long[..8_000]).await.unwrap_err().to_string();
    assert!(large.contains("Aggregate it more"), "{large}");
    let kept = sqlx::query(
        "INSERT INTO submission_file (submission, name, kind, bytes, sha256) VALUES (?, 'z.csv', 'csv', ?, '')",
    );
    kept.bind(waiting[0].to_string()).bind(256 << 20).execute(&airlock.pool).await.unwrap();
    let full = said(&airlock, &of, &GROUPS).await;
    assert!(full.contains("256 MiB") && full.contains("ask the open zone"), "{full}");
}
