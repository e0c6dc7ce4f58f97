//! One statement, parsed, and only if it reads.
//!
//! INVARIANT: whatever is not a query, an explained query or a question about the catalog is refused by name.

use datafusion::sql::{
    parser::{DFParserBuilder, Statement},
    sqlparser::{
        ast::{Query, SetExpr, Statement as Sql},
        dialect::GenericDialect,
    },
};
use proto::refusal::{Kind, Refusal};

/// Levels that a statement may be nested.
const DEPTH: usize = 50;

/// What is to be done with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// answer it
    Answer,
    /// say what would run where
    Explain,
    /// run it, and say what ran where
    Analyze,
    /// say which rules of release it meets
    Release,
}

/// A statement that reads.
#[derive(Debug, Clone)]
pub struct Reading {
    /// what is to be done
    pub manner: Manner,
    pub(super) statement: Statement,
}

/// Parses `sql`, which must be one statement that reads.
///
/// # Errors
/// When it can't be parsed, is too long a chain, is more than one statement, or does anything but read.
pub fn parse(sql: &str) -> Result<Reading, Refusal> {
    super::size::check(sql)?;
    let invalid = |message: String| Refusal::new(Kind::Invalid, message);
    if let Some(explained) = after_words(sql, &["EXPLAIN", "RELEASE"]) {
        return match parse(explained)? {
            Reading { manner: Manner::Answer, statement } => Ok(Reading { manner: Manner::Release, statement }),
            _ => Err(invalid("EXPLAIN RELEASE tells of a SELECT: leave the second EXPLAIN out".to_owned())),
        };
    }
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(DEPTH)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| {
            let said = super::trouble::plain(&error);
            let hint = if said.contains("found: -") {
                ". A name with '-' in it is written in double quotes, as in \"region-h\".table"
            } else {
                ""
            };
            invalid(format!("the statement can't be read: {said}{hint}"))
        })?;
    let statement = statements.pop_front();
    let statement = statement.ok_or_else(|| invalid("there is no statement: send a SELECT".to_owned()))?;
    if !statements.is_empty() {
        return Err(invalid(format!("there are {} statements: send one at a time", statements.len() + 1)));
    }
    match statement {
        Statement::Explain(explain) => {
            let manner = if explain.options.analyze { Manner::Analyze } else { Manner::Explain };
            reads(&explain.statement)?;
            if matches!(*explain.statement, Statement::Explain(_)) {
                return Err(invalid("EXPLAIN of EXPLAIN says nothing: explain the SELECT".to_owned()));
            }
            Ok(Reading { manner, statement: *explain.statement })
        }
        statement => {
            reads(&statement)?;
            if let Statement::Statement(sql) = &statement
                && let Sql::ExplainTable { table_name, .. } = sql.as_ref()
            {
                // The same answer from the catalog, which has no rows in it.
                return parse(&format!("SHOW COLUMNS FROM {table_name}"));
            }
            Ok(Reading { manner: Manner::Answer, statement })
        }
    }
}

/// What follows these words, if it begins with them.
fn after_words<'a>(sql: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().try_fold(sql, |rest, word| {
        let (first, rest) = rest.trim_start().split_once(char::is_whitespace)?;
        first.eq_ignore_ascii_case(word).then_some(rest)
    })
}

fn reads(statement: &Statement) -> Result<(), Refusal> {
    match statement {
        Statement::Statement(sql) => match sql.as_ref() {
            Sql::Query(query) => query_reads(query),
            Sql::ShowTables { .. } | Sql::ShowColumns { .. } | Sql::ShowFunctions { .. } | Sql::ExplainTable { .. } => {
                Ok(())
            }
            other => Err(refused(&other.to_string())),
        },
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::CopyTo(_) => Err(refused("COPY")),
        Statement::CreateExternalTable(_) => Err(refused_name("CREATE EXTERNAL TABLE")),
        Statement::Reset(_) => Err(refused("RESET")),
    }
}

/// `WITH x AS (INSERT ..)` and `SELECT .. INTO` are queries to the parser.
fn query_reads(query: &Query) -> Result<(), Refusal> {
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        query_reads(&cte.query)?;
    }
    body_reads(&query.body)
}

fn body_reads(body: &SetExpr) -> Result<(), Refusal> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => Err(refused("SELECT INTO")),
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => Ok(()),
        SetExpr::Query(query) => query_reads(query),
        SetExpr::SetOperation { left, right, .. } => body_reads(left).and_then(|()| body_reads(right)),
        SetExpr::Insert(sql) | SetExpr::Update(sql) | SetExpr::Delete(sql) | SetExpr::Merge(sql) => {
            Err(refused(&sql.to_string()))
        }
    }
}

fn refused(text: &str) -> Refusal {
    // The first word names it; the rest may hold values.
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let first = words.next().unwrap_or("this statement").to_ascii_uppercase();
    match first.as_str() {
        "SELECT" => refused_name("SELECT INTO"),
        "CREATE" | "DROP" | "ALTER" => match words.next() {
            Some(second) => refused_name(&format!("{first} {}", second.to_ascii_uppercase())),
            None => refused_name(&first),
        },
        name => refused_name(name),
    }
}

fn refused_name(name: &str) -> Refusal {
    let hint = match name {
        "SET" | "RESET" => ". The project is chosen by session option 'catalog' or header 'x-eger-project'",
        "SHOW" => ". Use SHOW TABLES, SHOW COLUMNS FROM table, or information_schema",
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => ". Prepare statements through your driver",
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" => ". There are no transactions",
        _ => "",
    };
    let message = format!("{name} is refused: this service only reads (SELECT, EXPLAIN, SHOW TABLES, DESCRIBE){hint}");
    Refusal::new(Kind::Invalid, message)
}

/// Numbers the `?` of a statement: `?` becomes `$1`, `$2` and so on, except in strings, quoted names and comments.
#[must_use]
pub fn number_placeholders(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 8);
    let mut chars = sql.chars().peekable();
    let mut count = 0;
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' => {
                out.push(c);
                // A doubled quote ends and begins again, which comes to the same here.
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == c {
                        break;
                    }
                }
            }
            '-' if chars.peek() == Some(&'-') => {
                out.push(c);
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == '\n' {
                        break;
                    }
                }
            }
            '/' if chars.peek() == Some(&'*') => {
                out.push(c);
                let mut last = ' ';
                for inner in chars.by_ref() {
                    out.push(inner);
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
            }
            '?' => {
                count += 1;
                out.push('$');
                out.push_str(&count.to_string());
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn outcome(sql: &str) -> String {
        match parse(sql) {
            Ok(reading) => format!("{:?}", reading.manner),
            Err(refusal) => {
                assert_eq!(refusal.kind, Kind::Invalid);
                refusal.message
            }
        }
    }

    #[test]
    fn what_reads_is_taken() {
        assert_eq!(outcome("SELECT 1"), "Answer");
        assert_eq!(outcome("WITH a AS (SELECT 1) SELECT * FROM a UNION ALL (SELECT 2);"), "Answer");
        assert_eq!(outcome("EXPLAIN SELECT 1"), "Explain");
        assert_eq!(outcome("EXPLAIN ANALYZE SELECT 1"), "Analyze");
        assert_eq!(outcome("EXPLAIN ANALYZE VERBOSE SELECT 1"), "Analyze");
        assert_eq!(outcome(" explain\n Release SELECT 1"), "Release");
        assert_eq!(outcome("SHOW TABLES"), "Answer");
        assert_eq!(outcome("DESCRIBE a.b"), "Answer");
        assert_eq!(outcome("VALUES (1)"), "Answer");
    }

    #[test]
    fn whatever_else_is_refused_by_name_and_without_values() {
        for (sql, name) in [
            ("INSERT INTO a VALUES ('0101010001')", "INSERT"),
            ("UPDATE a SET b = 1", "UPDATE"),
            ("DELETE FROM a", "DELETE"),
            ("CREATE TABLE a (b INT)", "CREATE TABLE"),
            ("CREATE VIEW a AS SELECT 1", "CREATE VIEW"),
            ("CREATE EXTERNAL TABLE a STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("CREATE FUNCTION f() RETURNS INT RETURN 1", "CREATE FUNCTION"),
            ("DROP TABLE a", "DROP TABLE"),
            ("ALTER TABLE a ADD COLUMN b INT", "ALTER TABLE"),
            ("COPY a TO '/tmp/x'", "COPY"),
            ("COPY (SELECT 1) TO '/tmp/x'", "COPY"),
            ("SET datafusion.execution.batch_size = 1", "SET"),
            ("RESET datafusion.execution.batch_size", "RESET"),
            ("PREPARE p AS SELECT 1", "PREPARE"),
            ("EXECUTE p", "EXECUTE"),
            ("BEGIN", "BEGIN"),
            ("TRUNCATE a", "TRUNCATE"),
            ("EXPLAIN INSERT INTO a VALUES (1)", "INSERT"),
            ("EXPLAIN ANALYZE COPY a TO 'x'", "COPY"),
            ("SELECT 1 INTO b", "SELECT INTO"),
            ("SHOW ALL", "SHOW"),
        ] {
            let message = outcome(sql);
            assert!(message.starts_with(&format!("{name} is refused")), "{sql}: {message}");
            assert!(!message.contains("0101010001") && !message.contains("passwd"), "{message}");
        }
        assert!(outcome("SELECT 1; SELECT 2").contains("2 statements"));
        assert!(outcome("").contains("no statement"));
        assert!(outcome("EXPLAIN RELEASE EXPLAIN SELECT 1").contains("EXPLAIN RELEASE tells of a SELECT"));
        assert!(outcome("EXPLAIN RELEASE DELETE FROM a").starts_with("DELETE is refused"));
        assert!(outcome("SELEKT 1").contains("can't be read"));
    }

    #[test]
    fn question_marks_are_numbered_where_they_are_placeholders() {
        assert_eq!(
            number_placeholders(
                "SELECT '?', \"a?\", a FROM t -- ?\n WHERE a = ? /* ? */ AND b IN (?, ?) AND c = 'it''s ?'"
            ),
            "SELECT '?', \"a?\", a FROM t -- ?\n WHERE a = $1 /* ? */ AND b IN ($2, $3) AND c = 'it''s ?'"
        );
        assert_eq!(number_placeholders("SELECT $1"), "SELECT $1");
    }
}
