//! Values that were written so that nothing looks at them: twice, beside others, as marks, as what can't be read, under no name.

use super::*;

#[test]
fn attack_a_pseudonym_within_a_cell_is_refused() {
    let id = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
    for text in ["id 5a", "id=5a", "ids: 5a; of 12", "key_5a"] {
        let table_of = format!("who,n\n\"{}\",15\n", text.replace("5a", id));
        assert_eq!(one(Box::leak(table_of.into_boxed_str())), ["pseudonym no 1 who"], "{text}");
    }
    assert_eq!(one("who,n\nkey=Z+VQRBCxQm+SR7toDl/gyA==,15\n"), ["pseudonym no 1 who"]);
    assert_eq!(one("id 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a,n\n147,15\n"), ["pseudonym no"]);
}

#[test]
fn attack_a_name_that_stands_twice_in_a_record_carries_nothing_out() {
    let json = |text| found(&[table("a.json", &["n"], text)]);
    // Read as serde_json or Python does these are 12 people of 101.
    assert_eq!(json(r#"[{"kom":"101","n":3,"n":12}]"#), ["declaration no 1 n"]);
    assert_eq!(json(r#"[{"kom":"101","n":12}, {"kom":"147","n":3,"n":12}]"#), ["declaration no 2 n"]);
    let both = r#"[{"kom":"0101011234","n":3,"kom":"101","n":12}]"#;
    assert_eq!(json(both), ["declaration no 1 kom", "person_number no 1"]);
    let all = ran(&[table("a.json", &["n"], both)], &[]).remove("a.json").unwrap();
    assert!(all[0].message.contains("has 'kom' twice in row 1"), "{all:?}");
    // A name that is a person number is not told.
    let all = ran(&[table("a.json", &["n"], r#"[{"0101011234":1,"0101011234":1,"n":12}]"#)], &[]);
    assert!(!serde_json::to_string(&all).unwrap().contains("0101011234"), "{all:?}");
    // What is searched is the text, too: a number that a reader makes shorter.
    assert_eq!(json("[{\"kom\":\"101\",\n\"n\":12, \"x\": 1.0101011234E1}]"), ["person_number no 2"]);
    assert_eq!(json(r#"[{"kom":"\u0030101011234","n":12}]"#), ["person_number no 1 kom"]);
    // A sum of so many digits stays a matter of people, as in other tables.
    let (mut form, text) = table("a.json", &["n"], r#"[{"kom":"101","n":12,"cost":3101011234}]"#);
    form.sum_columns = vec!["cost".to_owned()];
    assert_eq!(found(&[(form, text)]), ["person_number ? 1 cost", "dominance ?"]);
}

#[test]
fn attack_a_mark_that_carries_the_number_is_refused() {
    assert_eq!(one("kom,n\n101,*3\n147,12\n"), ["declaration no 1 n"]);
    assert_eq!(one("kom,n\n101,12\n147,<2\n"), ["threshold no 2 n"]);
    for mark in ["..3", "-3x", "<=3", "<3.0", "< 05", "****", "…3", "*three", "<5 3"] {
        let text: &str = Box::leak(format!("kom,n\n101,12\n147,{mark}\n").into_boxed_str());
        assert_eq!(one(text), ["declaration no 2 n"], "{mark}");
    }
    // Nor does it keep a total from being looked at.
    assert_eq!(one("kom,n\n101,17\n147,*3\ntotal,20\n"), ["declaration no 2 n", "total no 3 n"]);
    // Where ten are asked for, "<5" says more than may be said.
    let ten = Threshold::DEFAULT.raised_to(10);
    let under = |text| {
        let found = ran_under(&[table("a.csv", &["n"], text)], &[], ten).remove("a.csv").unwrap();
        found.iter().map(|finding| (finding.rule.name(), finding.row)).collect::<Vec<_>>()
    };
    assert_eq!(under("kom,n\n101,12\n147,<5\n"), [("threshold", Some(2))]);
    assert_eq!(under("kom,n\n101,12\n147,<10\n"), []);
    // A sum is told by a limit of its own, and its marks are looked at whether or not contributions are declared.
    let (mut form, text) = table("a.csv", &["n"], "kom,n,cost\n101,12,<948713\n147,15,<5\n151,15,*\n");
    form.sum_columns = vec!["cost".to_owned()];
    assert_eq!(found(&[(form, text)]), ["declaration no 1 cost", "declaration ? cost", "dominance ?"]);
    // One mark for one, another for two: people ask.
    assert_eq!(one("kom,n\n101,*\n147,**\n151,*\n"), ["declaration ? n"]);
}

#[test]
fn attack_contributions_that_can_not_be_read_are_refused() {
    let (mut form, text) = table("a.csv", &["n"], "kom,n,cost\n101,12,961\n147,15,1000\n");
    (form.sum_columns, form.contributions) = (vec!["cost".to_owned()], Some("c.csv".to_owned()));
    let with = |largest: &'static str| {
        let (mut other, text_of) = table("c.csv", &[], largest);
        other.inside = true;
        ran(&[(form.clone(), text), (other, text_of)], &[]).remove("a.csv").unwrap()
    };
    let told = |largest| with(largest).iter().map(|f| (f.rule.name(), f.row)).collect::<Vec<_>>();
    // 950.5 of 961: dominated when it is read.
    assert_eq!(told("kom,cost_1,cost_2\n101,950.5,10.2\n147,100,90\n"), [("dominance", Some(1))]);
    for unread in [
        "kom;cost_1;cost_2\n101;950,5;10,2\n147;100;90\n",
        "kom,cost_1,cost_2\n101,,\n147,100,90\n",
        "kom,cost_1,cost_2\n101,100,\n147,100,90\n",
        "kom,cost_1,cost_2\n101,*,90\n147,100,90\n",
        "kom,cost_1,cost_2,cost_n\n101,100,90,\n147,100,90,12\n",
    ] {
        assert_eq!(told(unread), [("declaration", Some(1))], "{unread}");
    }
    let all = with("kom;cost_1;cost_2\n101;100;90\n147;950,5;10,2\n");
    assert!(
        all[0].message.starts_with("'cost_1' of row 2 of the file of contributions is no number; write 950.5"),
        "{all:?}"
    );
    // Two rows of a group: which one counts can't be said.
    let twice = "kom,cost_1,cost_2\n101,950.5,10.2\n147,100,90\n101,100,90\n";
    assert_eq!(told(twice), [("declaration", None)]);
}

#[test]
fn attack_a_missing_code_hides_no_total() {
    // 50 - 17 - 30 = 3 people are in 102, whatever the row without a code comes after or before.
    assert_eq!(one("kom,n\n101,17\n102,\n,30\ntotal,50\n"), ["total no 4 n", "total no 2 n"]);
    assert_eq!(one("kom,n\ntotal,50\n101,17\n102,\n,30\n"), ["total no 1 n", "total no 3 n"]);
    // Nor when the row without a code is the same total again.
    assert_eq!(one("kom,n\n101,17\n102,\n103,30\n,50\ntotal,50\n"), ["total no 5 n", "total ? n"]);
    // Every total is looked at, also beside another.
    assert_eq!(one("kom,n\n101,17\n102,12\ntotal,33\nalle,60\n"), ["total no 3 n"]);
    assert_eq!(one("kom,n\n101,17\n102,12\ntotal,57\nalle,60\n"), ["total no 4 n"]);
    let beside = "kom,men,women,n_total,n_all\n101,12,,15,99\n";
    assert_eq!(found(&[table("a.csv", &["men", "women", "n_total", "n_all"], beside)]), ["total no 1 n_total"]);
    // Without a total by name, a row without a code may be one: people look, and it isn't refused.
    assert_eq!(one("kom,n\n101,17\n102,12\n,30\n"), ["total ? 3 n"]);
    assert_eq!(one("kom,n\n101,17\n102,12\n,60\n"), Vec::<String>::new());
    // Smaller than its parts together it is none.
    assert_eq!(one("kom,n\n101,17\n102,12\n,28\n"), Vec::<String>::new());
    // As `GROUP BY CUBE` writes totals, through two lines together.
    let told = cross(["", "", "33", "", "40", "60", "25", "50", "75", "48", "120", "168"]).replace("total", "");
    assert_eq!(one(Box::leak(told.into_boxed_str())), ["total ? 1 n"]);
}
