//! By when: the periods of EHDS for one application, in days (UTC).

use chrono::{DateTime, NaiveDate, Utc};
use policies::{
    application::Application,
    calendar::{self, Track},
};

/// How fast the decision is due.
#[must_use]
pub fn track(application: &Application) -> Track {
    if application.group.public_body && application.purpose.ehds.public_bodies_only() {
        Track::PublicFast
    } else {
        Track::Ordinary
    }
}

/// The days that count for an application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Deadlines {
    /// the controllers decide
    #[schema(value_type = Option<String>, format = Date)]
    pub decide_by: Option<NaiveDate>,
    /// the applicant answers what was asked
    #[schema(value_type = Option<String>, format = Date)]
    pub answer_by: Option<NaiveDate>,
    /// the decision is published
    #[schema(value_type = Option<String>, format = Date)]
    pub publish_by: Option<NaiveDate>,
    /// the data are there
    #[schema(value_type = Option<String>, format = Date)]
    pub data_by: Option<NaiveDate>,
    /// what was made available is deleted
    #[schema(value_type = Option<String>, format = Date)]
    pub delete_by: Option<NaiveDate>,
}

impl Deadlines {
    /// The days of an application that was complete, extended and decided at these times.
    #[must_use]
    pub fn of(
        application: &Application,
        complete_at: Option<DateTime<Utc>>,
        extended: bool,
        decided_at: Option<DateTime<Utc>>,
        answer_by: Option<NaiveDate>,
    ) -> Self {
        let decided = decided_at.map(|at| at.date_naive());
        Self {
            decide_by: complete_at.map(|at| calendar::decide_by(at.date_naive(), track(application), extended)),
            answer_by,
            publish_by: decided.map(calendar::publish_by),
            data_by: decided.map(calendar::data_by),
            delete_by: decided.map(|_| calendar::delete_by(application.valid_to)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use policies::{application::Form, purpose::EhdsPurpose};

    #[test]
    fn public_bodies_with_public_purposes_are_decided_on_faster() {
        let mut application = Form::from_toml(policies::application::EXAMPLE, "x").unwrap().check().unwrap();
        assert_eq!(track(&application), Track::Ordinary);
        application.purpose.ehds = EhdsPurpose::Statistics;
        assert_eq!(track(&application), Track::PublicFast);
        application.group.public_body = false;
        assert_eq!(track(&application), Track::Ordinary);
        let complete = "2026-11-23T22:59:59Z".parse().unwrap();
        let days = Deadlines::of(&application, Some(complete), true, None, None);
        assert_eq!(days.decide_by.unwrap().to_string(), "2027-05-24");
        let days = Deadlines::of(&application, Some(complete), false, Some(complete), None);
        assert_eq!(days.delete_by.unwrap().to_string(), "2030-06-30");
        assert_eq!(days.data_by.unwrap().to_string(), "2027-01-25");
    }
}
