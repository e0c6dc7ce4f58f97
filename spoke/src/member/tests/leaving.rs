//! People leave: the hub is asked once for each change, for the projects that go on.

use super::{purges::Case, *};
use crate::{member::leaving::Leaving, optout::Kind, publish::State};

struct Lists {
    case: Case,
    state: State,
}

impl Lists {
    /// `diabetes` and `cancer` are permitted, `heart` no more.
    async fn new() -> Self {
        let case = Case::new();
        for project in ["diabetes", "cancer", "heart"] {
            case.party.permit(project, vec![case.party.named()]);
        }
        case.party.permits.live.lock().unwrap().remove(&"heart".parse::<ProjectId>().unwrap());
        let state = State::open(&case.party.folder.path().join("state.db")).await.unwrap();
        Self { case, state }
    }

    async fn add(&self, person: u8, kind: Kind) {
        assert_eq!(self.state.exclude(&[[person; 16]], kind, "kid").await.unwrap().added, 1);
    }

    /// As a process that has just started looks at the lists.
    async fn look(&self) {
        let permits = Arc::clone(&self.case.party.permits) as _;
        Leaving::new(self.state.clone(), permits, Arc::clone(&self.case.purges)).look().await.unwrap();
    }

    fn pending(&self) -> Vec<String> {
        self.case.names("pending")
    }
}

#[tokio::test]
async fn who_withdraws_or_is_erased_is_asked_for_once_in_every_project_that_goes_on_and_in_no_other() {
    let lists = Lists::new().await;
    lists.add(1, Kind::OptOut).await;
    lists.look().await;
    assert!(lists.pending().is_empty(), "an opt-out reaches nothing that was answered before");
    lists.add(2, Kind::Withdrawn).await;
    lists.look().await;
    lists.look().await;
    assert_eq!(lists.pending(), ["cancer.withdrawn.2.pending", "diabetes.withdrawn.2.pending"]);
    lists.add(3, Kind::Erased).await;
    lists.look().await;
    assert_eq!(lists.pending()[..2], ["cancer.erased.3.pending", "cancer.withdrawn.2.pending"]);
    assert_eq!(lists.pending()[2..], ["diabetes.erased.3.pending", "diabetes.withdrawn.2.pending"]);
    lists.case.purges.round(&lists.case.hub, Utc::now()).await;
    let asked: Vec<_> =
        lists.case.hub.asked.lock().unwrap().iter().map(|(p, r)| format!("{p} {}", r.as_str())).collect();
    assert_eq!(asked, ["cancer erased", "cancer withdrawn", "diabetes erased", "diabetes withdrawn"]);
    // Who leaves a list, or comes onto it again, is another matter.
    let before = lists.pending();
    lists.state.include(&[[2; 16]], Kind::Withdrawn, "kid").await.unwrap();
    lists.look().await;
    assert_eq!(lists.pending(), before);
    lists.add(2, Kind::Withdrawn).await;
    lists.look().await;
    assert_eq!(lists.pending().len(), before.len() + 2);
}

#[tokio::test]
async fn each_change_needs_its_own_receipt_also_one_that_comes_while_the_hub_removes() {
    let lists = Lists::new().await;
    lists.case.party.permits.live.lock().unwrap().remove(&"cancer".parse::<ProjectId>().unwrap());
    lists.add(1, Kind::Withdrawn).await;
    lists.look().await;
    let now = Utc::now();
    // The hub is away, and meanwhile somebody else leaves.
    lists.case.purges.round(&lists.case.hub, now).await;
    lists.add(2, Kind::Withdrawn).await;
    lists.look().await;
    assert_eq!(lists.pending(), ["diabetes.withdrawn.1.pending", "diabetes.withdrawn.2.pending"]);
    lists.case.answer(&lists.case.key, Reason::Withdrawn);
    lists.case.purges.round(&lists.case.hub, now).await;
    assert_eq!(lists.pending(), ["diabetes.withdrawn.1.pending"], "the first one waits for its next try");
    lists.case.purges.round(&lists.case.hub, now + Duration::minutes(6)).await;
    assert!(lists.pending().is_empty());
    let kept = lists.case.names("jws");
    assert!(kept[0].starts_with("diabetes.withdrawn.1.") && kept[1].starts_with("diabetes.withdrawn.2."), "{kept:?}");
    let receipts: Vec<_> = lists.case.party.audit().into_iter().filter(|event| event["event"] == "receipt").collect();
    assert_eq!((&receipts[0]["version"], &receipts[1]["version"]), (&json!(2), &json!(1)));
    // Done is done.
    lists.look().await;
    assert!(lists.pending().is_empty());
}

#[tokio::test]
async fn changes_while_nobody_looked_or_the_permits_could_not_be_read_are_found_later() {
    let lists = Lists::new().await;
    lists.add(1, Kind::Erased).await;
    lists.add(2, Kind::Erased).await;
    *lists.case.party.permits.unreadable.lock().unwrap() = true;
    lists.look().await;
    assert!(lists.pending().is_empty());
    *lists.case.party.permits.unreadable.lock().unwrap() = false;
    lists.look().await;
    assert_eq!(lists.pending(), ["cancer.erased.2.pending", "diabetes.erased.2.pending"]);
    // The hub's day began when the first of them left, not when somebody looked.
    let text =
        std::fs::read_to_string(lists.case.party.folder.path().join("receipts/cancer.erased.2.pending")).unwrap();
    let times: Vec<chrono::DateTime<Utc>> = text.lines().map(|line| line.parse().unwrap()).collect();
    let overview = lists.state.exclusions().await.unwrap();
    assert_eq!(times[1], overview.history[0].1.parse::<chrono::DateTime<Utc>>().unwrap());
    assert!(times[1] < times[0]);
    lists.case.purges.round(&lists.case.hub, times[1] + Duration::hours(25)).await;
    let alarm = lists.case.party.audit().pop().unwrap();
    assert_eq!((&alarm["event"], &alarm["reason"], &alarm["version"]), (&json!("alarm"), &json!("erased"), &json!(2)));
}
