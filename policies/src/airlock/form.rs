//! What a researcher says about the files, as people write it and as it travels.

/// What is to leave, and what each file is.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Form {
    /// the project
    pub project: String,
    /// for people
    pub title: String,
    /// a submission of the same project that this one follows
    pub earlier: Option<String>,
    /// the files
    pub files: Vec<FileForm>,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileForm {
    /// its name outside
    pub name: String,
    /// where it lies; for the terminal alone
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// what it shows
    pub description: String,
    /// whose data are in it
    pub population: String,
    /// how many people are behind it, in words or numbers
    pub counts: String,
    /// tables: the columns that count people
    pub count_columns: Vec<String>,
    /// tables: the columns that hold sums over people
    pub sum_columns: Vec<String>,
    /// tables with sums: the file of this submission that holds each cell's two largest contributions
    pub contributions: Option<String>,
    /// figures: the file of this submission that holds the numbers it is drawn from
    pub data: Option<String>,
    /// tables: the statement that gives it
    pub query: Option<String>,
    /// stays inside: the checkers see it beside the others, and it is never released
    pub inside: bool,
}

impl Form {
    /// Reads a form from TOML.
    ///
    /// # Errors
    /// When it is no TOML or has an unknown field; the text names the line.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, runtime::config::ConfigError> {
        runtime::config::parse(text, file)
    }
}

/// A commented form; `hub airlock example` prints it.
pub const EXAMPLE: &str = r#"# What leaves the secure environment. `hub airlock submit THIS-FILE --check` says what is wrong, without handing it in.

project = "diabetes"
title = "Table 1 and figure 1 of the article on metformin"
# earlier = "0193.."                 # the submission that this one replaces; the difference is shown

[[files]]
name = "table1.csv"                  # its name outside: no folders, no blanks
path = "out/table1.csv"              # where it lies, from this form; the copy is made when you submit
description = "People with a first prescription of metformin, by sex and municipality"
population = "Adults in the Capital Region, 2015 to 2024"
counts = "distinct people in column n; 18,211 in all"
count_columns = ["n"]                # the columns that count people; none: []
# sum_columns = ["cost"]             # the columns that are sums over people, and the file with each cell's largest
# contributions = "largest.csv"      # contributions: the same groups, and columns cost_1 and cost_2
query = "SELECT kom, koen, count(DISTINCT pnr) AS n FROM sds.lmdb GROUP BY kom, koen"

[[files]]
name = "figure1.svg"
path = "out/figure1.svg"
description = "The same as a bar chart"
population = "as table1.csv"
counts = "as table1.csv"
data = "table1.csv"                  # figures: the file with the numbers they are drawn from
# inside = true                      # a file that only explains others: the checkers see it, and it stays inside
"#;
