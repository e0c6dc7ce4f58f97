#![allow(clippy::unwrap_used)]
use super::*;
use policies::airlock::{FileForm, Form};

mod evasions;

/// A file of the form, and what is in it.
type Given = (FileForm, &'static str);

fn table(name: &str, count: &[&str], text: &'static str) -> Given {
    let form = FileForm {
        name: name.to_owned(),
        description: "people".to_owned(),
        population: "all".to_owned(),
        counts: "column n".to_owned(),
        count_columns: count.iter().map(|name| (*name).to_owned()).collect(),
        ..FileForm::default()
    };
    (form, text)
}

fn ran(given: &[Given], earlier: &[Earlier]) -> BTreeMap<String, Vec<Finding>> {
    ran_under(given, earlier, Threshold::DEFAULT)
}

fn ran_under(given: &[Given], earlier: &[Earlier], least: Threshold) -> BTreeMap<String, Vec<Finding>> {
    let form = Form {
        project: "diabetes".to_owned(),
        title: "a test".to_owned(),
        earlier: None,
        files: given.iter().map(|(form, _)| form.clone()).collect(),
    };
    let submission = form.check().unwrap();
    let files: Vec<Checked<'_>> = submission
        .files
        .iter()
        .zip(given)
        .map(|(output, (_, text))| {
            let kind = crate::airlock::kind::recognise(&output.name, text.as_bytes()).unwrap();
            Checked { output, kind, bytes: text.as_bytes() }
        })
        .collect();
    run(&submission, &files, earlier, least)
}

/// What is found in the first file: rule, weight, row and column.
fn found(given: &[Given]) -> Vec<String> {
    let name = given[0].0.name.clone();
    let told = |finding: &Finding| {
        let weight = if finding.weight == Weight::Refused { "no" } else { "?" };
        let row = finding.row.map(|row| format!(" {row}")).unwrap_or_default();
        let column = finding.column.as_ref().map(|column| format!(" {column}")).unwrap_or_default();
        format!("{} {weight}{row}{column}", finding.rule.name())
    };
    ran(given, &[]).remove(&name).unwrap().iter().map(told).collect()
}

fn one(text: &'static str) -> Vec<String> {
    found(&[table("a.csv", &["n"], text)])
}

#[test]
fn a_table_of_large_groups_passes() {
    assert_eq!(one("kom,koen,n\n101,1,12\n101,2,5\n147,1,0\n147,2,\n"), Vec::<String>::new());
    assert_eq!(
        found(&[table("a.json", &["n"], r#"[{"kom": 101, "n": 12}, {"kom": 147, "n": 9}]"#)]),
        Vec::<String>::new()
    );
}

#[test]
fn attack_a_small_cell_is_refused_where_it_stands() {
    assert_eq!(one("kom,n\n101,12\n147,4\n"), ["threshold no 2 n"]);
    assert_eq!(one("kom,n\n101,12\n147,1.5\n"), ["threshold no 2 n"]);
    // Written otherwise it is no number, and refused for that.
    assert_eq!(one("kom,n\n101,12\n147,four\n"), ["declaration no 2 n"]);
    assert_eq!(one("kom,n\n101,12\n147,-4\n"), ["declaration no 2 n"]);
    // And a column that isn't declared can't be counted on either.
    assert_eq!(found(&[table("a.csv", &["m"], "kom,n\n101,12\n101,4\n")]), ["declaration no m"]);
    assert_eq!(found(&[table("a.csv", &[], "kom,n\n101,12\n147,4\n")]), ["declaration ?"]);
}

#[test]
fn attack_a_cell_below_what_a_permit_asks_for_is_refused() {
    let ten = Threshold::DEFAULT.raised_to(10);
    for (text, places) in [
        ("kom,n\n101,12\n147,9\n", vec![("threshold", Some(2))]),
        ("kom,n\n101,12\n147,10\n151,0\n", vec![]),
        // 36 - 12 - 15 = 9 people are in the hidden cell.
        ("kom,n\n101,12\n147,15\n151,\ntotal,36\n", vec![("total", Some(4)), ("total", Some(3))]),
    ] {
        let found = ran_under(&[table("a.csv", &["n"], text)], &[], ten).remove("a.csv").unwrap();
        let found: Vec<_> = found.iter().map(|finding| (finding.rule.name(), finding.row)).collect();
        assert_eq!(found, places, "{text}");
        assert_eq!(one(text), Vec::<String>::new(), "the platform's own threshold lets it out");
    }
    let found = ran_under(&[table("a.csv", &["n"], "kom,n\n147,9\n")], &[], ten);
    assert!(found["a.csv"][0].message.contains("fewer than 10 people"), "{found:?}");
}

#[test]
fn attack_a_total_that_gives_a_small_cell_away_is_refused() {
    // 30 - 12 - 15 = 3 people are in the hidden cell.
    assert_eq!(one("kom,n\n101,12\n147,15\n151,\ntotal,30\n"), ["total no 4 n", "total no 3 n"]);
    // Also when its row is left out, or two are hidden together.
    assert_eq!(one("kom,n\n101,12\n147,15\ntotal,30\n"), ["total no 3 n"]);
    assert_eq!(one("kom,n\n101,12\n147,\n151,\nTotal,16\n"), ["total no 4 n"]);
    // Two hidden cells of nine people together tell neither.
    assert_eq!(one("kom,n\n101,12\n147,\n151,<5\ntotal,21\n"), Vec::<String>::new());
    // In a table of two dimensions, along each.
    assert_eq!(
        one("kom,koen,n\n101,1,12\n101,2,\n101,total,14\n147,1,20\n147,2,9\n147,total,29\n"),
        ["total no 3 n", "total no 2 n"]
    );
    // Beside each other.
    assert_eq!(
        found(&[table("a.csv", &["men", "women", "n_total"], "kom,men,women,n_total\n101,12,,15\n")]),
        ["total no 1 n_total"]
    );
    assert_eq!(one("kom,n\n101,12\n147,0\n151,0\ntotal,12\n"), ["group ? 4 n"]);
}

/// Two variables with their totals: three rows a town (men, women, both), and the region.
fn cross(cells: [&str; 12]) -> &'static str {
    let mut text = "kom,koen,n\n".to_owned();
    for (at, people) in cells.iter().enumerate() {
        let (kom, koen) = (["101", "147", "151", "total"][at / 3], ["1", "2", "total"][at % 3]);
        text.push_str(&format!("{kom},{koen},{people}\n"));
    }
    Box::leak(text.into_boxed_str())
}

#[test]
fn attack_lines_that_give_a_hidden_cell_away_together_are_refused() {
    // 101: 3 men and 30 women; 147: 20 men. Each line leaves 33, 23 or 20 people, none of them few: but 147's men follow from 147, and then
    // 101's from all men.
    let told = cross(["", "", "33", "", "40", "60", "25", "50", "75", "48", "120", "168"]);
    assert_eq!(one(told), ["total no 1 n"]);
    // With the women of 147 hidden as well nobody can tell: each line has two.
    let safe = cross(["", "", "33", "", "", "60", "25", "50", "75", "48", "120", "168"]);
    assert_eq!(one(safe), Vec::<String>::new());
    // "<5" says more than an empty cell: the other one of its line is 29 to 32, and that is no few people.
    assert_eq!(one(cross(["<5", "", "33", "", "", "60", "25", "50", "75", "48", "120", "168"])), Vec::<String>::new());
    // But two such beside each other leave only so much: of 7 together one is 3 or 4.
    assert_eq!(one("kom,n\n101,<5\n147,<5\n151,30\ntotal,37\n"), ["total no 1 n", "total no 2 n"]);
    // A hidden number that can be computed and is large is no matter of few people.
    assert_eq!(one("kom,n\n101,\n147,30\ntotal,75\n"), Vec::<String>::new());
    // Rows that aren't there count as hidden when the totals say that somebody is in them.
    let lacking =
        "kom,koen,n\n101,total,33\n147,2,40\n147,total,60\n101,1,*\n101,2,\ntotal,1,23\ntotal,2,70\ntotal,total,93\n";
    assert_eq!(one(lacking), ["total no 4 n"]);
    // Also when nothing at all is marked as hidden: the first table without its three empty rows.
    let left_out: String = told.lines().filter(|line| !line.ends_with(',')).map(|line| format!("{line}\n")).collect();
    assert_eq!(left_out.lines().count(), 10);
    let left_out = one(Box::leak(left_out.into_boxed_str()));
    assert!(!left_out.is_empty() && left_out.iter().all(|found| found == "total no n"), "{left_out:?}");
    // Rows of nobody may be left out.
    assert_eq!(
        one("kom,koen,n\n101,1,20\n101,total,20\n147,2,30\n147,total,30\ntotal,1,20\ntotal,2,30\n"),
        Vec::<String>::new()
    );
    // What can't be computed through is for people.
    assert_eq!(one("kom,n\n101,\n147,<5\n151,30\ntotal,20\n"), ["total ? n"]);
    let four = "a,b,c,d,n\n1,1,1,1,\n2,2,2,2,30\n1,1,1,total,40\n2,2,2,total,50\n1,1,2,2,\n";
    assert!(one(four).contains(&"total ? n".to_owned()), "{:?}", one(four));
}

#[test]
fn attack_a_total_in_another_file_that_gives_a_small_cell_away_is_refused() {
    let fine = "kom,koen,n\n101,1,12\n101,2,\n147,1,20\n147,2,9\n";
    let coarse = table("a.csv", &["people"], "kom,people\n101,15\n147,29\n");
    assert_eq!(found(&[coarse.clone(), table("b.csv", &["n"], fine)]), ["total no 1 people"]);
    let whole = table("a.json", &["n"], "[{\"n\": 44}]");
    assert_eq!(found(&[whole, table("b.csv", &["n"], fine)]), ["total no 1 n"]);
    // Against what has left, in both directions.
    let earlier = |text: &str, count: &str| {
        let (form, _) = table("old.csv", &[count], "");
        let form = Form { project: "diabetes".to_owned(), title: "x".to_owned(), earlier: None, files: vec![form] };
        let output = form.check().unwrap().files.remove(0);
        let table = super::table::read(Kind::Csv, text.as_bytes()).unwrap();
        [Earlier { label: "'old.csv' of an earlier release".to_owned(), output, table }]
    };
    let of = |given: Given, earlier: &[Earlier]| {
        let name = given.0.name.clone();
        let all = ran(&[given], earlier).remove(&name).unwrap();
        all.iter().map(|f| (f.rule, f.weight)).collect::<Vec<_>>()
    };
    assert_eq!(of(coarse, &earlier(fine, "n")), [(Rule::Total, Weight::Refused)]);
    let fine = table("a.csv", &["n"], fine);
    assert_eq!(of(fine.clone(), &earlier("kom,people\n101,15\n147,29\n", "people")), [(Rule::Total, Weight::Refused)]);
    // The same groups, counted again with two people more: people ask why.
    let again = "kom,koen,n\n101,1,12\n101,2,\n147,1,22\n147,2,9\n";
    assert_eq!(of(fine.clone(), &earlier(again, "n")), [(Rule::Difference, Weight::ForPeople)]);
    assert_eq!(of(fine, &earlier("kom,koen,n\n101,1,12\n101,2,\n147,1,80\n147,2,9\n", "n")), []);
}

#[test]
fn attack_a_difference_of_three_to_an_earlier_release_is_told() {
    let earlier = |n: &str| {
        let (form, _) = table("old.csv", &["n"], "");
        let form = Form { project: "diabetes".to_owned(), title: "x".to_owned(), earlier: None, files: vec![form] };
        let table = super::table::read(Kind::Csv, format!("kom,n\n101,50\n147,{n}\n").as_bytes()).unwrap();
        [Earlier {
            label: "'old.csv' of an earlier release".to_owned(),
            output: form.check().unwrap().files.remove(0),
            table,
        }]
    };
    let given = [table("a.csv", &["n"], "kom,n\n101,50\n147,23\n")];
    let told = ran(&given, &earlier("20")).remove("a.csv").unwrap();
    let [finding] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((finding.rule, finding.row, finding.column.as_deref()), (Rule::Difference, Some(2), Some("n")));
    assert!(finding.message.contains("old.csv") && !finding.message.contains("23"), "{}", finding.message);
    // Five more are no few people; nobody more is no difference.
    assert!(ran(&given, &earlier("28"))["a.csv"].is_empty() && ran(&given, &earlier("23"))["a.csv"].is_empty());
    // Two files of one submission are looked at alike.
    let both = [given[0].clone(), table("b.csv", &["n"], "kom,n\n101,50\n147,20\n")];
    assert_eq!(
        ran(&both, &[])["a.csv"].iter().map(|f| (f.rule, f.row)).collect::<Vec<_>>(),
        [(Rule::Difference, Some(2))]
    );
}

#[test]
fn attack_person_numbers_and_pseudonyms_are_refused_wherever_they_stand() {
    assert_eq!(one("kom,n\n0101011234,12\n147,15\n"), ["person_number no 1 kom"]);
    assert_eq!(one("kom,n\n010101-1234,12\n147,15\n"), ["person_number no 1 kom"]);
    assert_eq!(one("kom,n\n147,0101011234\n"), ["person_number no 1 n"]);
    assert_eq!(one("who,n\n5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a,15\n"), ["pseudonym no 1 who"]);
    assert_eq!(one("kom_0101011234,n\n147,15\n"), ["person_number no"]);
    let text = |text| found(&[table("a.txt", &[], text)]);
    assert_eq!(text("We saw\nhim (010101-1234).\n"), ["person_number no 2", "people ?"]);
    assert_eq!(text("key: 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n"), ["pseudonym no 1", "people ?"]);
    assert_eq!(text("Nothing was found.\n"), ["people ?"]);
    let pdf = "%PDF-1.7\ntrailer << /ID [<5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a>] >>\n";
    assert_eq!(found(&[table("a.pdf", &[], pdf)]), ["people ?"]);
    let book = "{\"nbformat\": 4, \"cells\": [\n{\"id\": \"67e55044-10b1-426f-9247-bb680e5fe0c8\"},\n\"0101011234\"]}";
    assert_eq!(found(&[table("a.ipynb", &[], book)]), ["pseudonym ? 2", "person_number no 3", "people ?"]);
    // No finding repeats it.
    let all = ran(&[table("a.csv", &["n"], "kom,n\n0101011234,12\n147,15\n")], &[]);
    assert!(!serde_json::to_string(&all).unwrap().contains("0101011234"));
}

#[test]
fn attack_rows_about_people_are_refused() {
    assert_eq!(one("kom,n\n101,12\n101,12\n"), ["rows no 2"]);
    let people = "id,age\nA1001,40\nA1002,41\nA1003,40\nA1004,52\nA1005,40\n";
    assert_eq!(found(&[table("a.csv", &[], people)]), ["declaration ?", "rows no id"]);
    // With a count of one each, they are below the threshold.
    assert_eq!(found(&[table("a.csv", &["n"], "id,n\nA1001,1\n")]), ["threshold no 1 n"]);
}

#[test]
fn attack_a_sum_that_one_makes_is_refused_when_contributions_are_declared() {
    let (mut form, text) = table("a.csv", &["n"], "kom,n,cost\n101,12,1000\n147,15,1000\n");
    form.sum_columns = vec!["cost".to_owned()];
    assert_eq!(found(&[(form.clone(), text)]), ["dominance ?"]);
    form.contributions = Some("c.csv".to_owned());
    let with = |largest: &'static str| {
        let (mut other, text_of) = table("c.csv", &[], largest);
        other.inside = true;
        found(&[(form.clone(), text), (other, text_of)])
    };
    assert_eq!(with("kom,cost_1,cost_2\n101,200,150\n147,100,90\n"), Vec::<String>::new());
    assert_eq!(with("kom,cost_1,cost_2\n101,700,250\n147,100,90\n"), ["dominance no 1 cost"]);
    // Ten people are behind the row, eight of them make up the sum.
    assert_eq!(with("kom,cost_1,cost_2,cost_n\n101,200,150,12\n147,100,90,8\n"), ["dominance no 2 cost"]);
    // More than all of it: others take away.
    assert_eq!(with("kom,cost_1,cost_2\n101,2000,-1500\n147,100,90\n"), ["dominance no 1 cost"]);
    assert_eq!(with("kom,cost_1,cost_2\n101,200,150\n"), ["declaration no 2 cost"]);
    assert_eq!(with("kom,cost_1\n101,200\n147,100\n"), ["declaration no"]);
    assert_eq!(with("municipality,cost_1,cost_2\n101,200,150\n"), ["declaration no"]);
    // A sum of fewer than ten people, whoever contributes how much.
    let (mut few, of_few) = table("a.csv", &["n"], "kom,n,cost\n101,9,1000\n147,15,1000\n");
    (few.sum_columns, few.contributions) = (form.sum_columns.clone(), form.contributions.clone());
    let (mut other, contributions) = table("c.csv", &[], "kom,cost_1,cost_2\n101,200,150\n147,100,90\n");
    other.inside = true;
    let told = ran(&[(few, of_few), (other, contributions)], &[]).remove("a.csv").unwrap();
    assert_eq!((told.len(), told[0].row, told[0].column.as_deref()), (1, Some(1), Some("cost")));
    assert!(told[0].message.starts_with("fewer than 10 contributors. A sum or mean"), "{}", told[0].message);
}

#[test]
fn a_figure_needs_its_numbers() {
    let (mut figure, drawing) =
        table("f.svg", &[], "<svg xmlns=\"http://www.w3.org/2000/svg\"><path d=\"M0 0\"/></svg>");
    assert_eq!(found(&[(figure.clone(), drawing)]), ["figure no", "people ?"]);
    figure.data = Some("a.csv".to_owned());
    assert_eq!(found(&[(figure.clone(), drawing), table("a.csv", &["n"], "kom,n\n101,12\n")]), ["people ?"]);
    // A text is no numbers.
    figure.data = Some("t.txt".to_owned());
    assert_eq!(found(&[(figure, drawing), table("t.txt", &[], "Nothing.\n")]), ["figure no", "people ?"]);
}

#[test]
fn what_is_wrong_everywhere_is_told_in_bounds() {
    let text: String = std::iter::once("kom,n\n".to_owned()).chain((0..500).map(|at| format!("{at},1\n"))).collect();
    let all = one(Box::leak(text.into_boxed_str()));
    assert_eq!(all.len(), MOST + 1);
    assert_eq!(all.last().unwrap(), "people no");
}
