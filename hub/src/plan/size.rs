//! How long a chain a statement may hold.
//!
//! `a OR b OR c ..` becomes an expression as deep as the chain is long, and a chain of joins such a plan. The engine
//! walks both by recursion, and a stack that overflows ends the whole hub. Parentheses are bounded by the parser; chains
//! are bounded here, before anything is built from them.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    keywords::Keyword,
    tokenizer::{Token, Tokenizer},
};
use proto::refusal::{Kind, Refusal};

/// Operators that one statement may hold. The hub's threads have stacks for that many ([`crate::serve::executor`]).
const OPERATORS: usize = 1000;
/// What a join or a set operation counts for.
const JOIN: usize = 10;

/// Refuses a statement with too many operators or joins.
///
/// # Errors
/// When there are too many.
pub(super) fn check(sql: &str) -> Result<(), Refusal> {
    // What can't be cut into words is refused by the parser, with its reason.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return Ok(()) };
    let mut operators = 0;
    // For each open parenthesis: whether we stand in a list of tables, where a comma is a join.
    let mut in_from = vec![false];
    for token in &tokens {
        operators += match token {
            Token::LParen => {
                in_from.push(false);
                0
            }
            Token::RParen => {
                if in_from.len() > 1 {
                    in_from.pop();
                }
                0
            }
            Token::Comma if in_from.last() == Some(&true) => JOIN,
            Token::Word(word) => match word.keyword {
                Keyword::FROM => {
                    if let Some(here) = in_from.last_mut() {
                        *here = true;
                    }
                    0
                }
                Keyword::WHERE
                | Keyword::GROUP
                | Keyword::ORDER
                | Keyword::HAVING
                | Keyword::LIMIT
                | Keyword::SELECT => {
                    if let Some(here) = in_from.last_mut() {
                        *here = false;
                    }
                    0
                }
                Keyword::JOIN | Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => JOIN,
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::WHEN
                | Keyword::OVERLAPS
                | Keyword::XOR
                | Keyword::DIV => 1,
                _ => 0,
            },
            Token::Whitespace(_)
            | Token::Comma
            | Token::Period
            | Token::SemiColon
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::HexStringLiteral(_)
            | Token::Placeholder(_)
            | Token::EOF => 0,
            // Whatever else there is may chain.
            _ => 1,
        };
    }
    if operators > OPERATORS {
        return Err(Refusal::new(
            Kind::TooLarge,
            format!(
                "the statement has too many conditions, operators or joins ({OPERATORS} fit, a join counts for {JOIN}). \
                 Write alternatives as IN (..), and split it into several statements"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn chains_are_bounded_and_lists_are_not() {
        let chain = |n: usize, link: &str| format!("SELECT 1 WHERE {}", vec!["a = 1"; n].join(link));
        assert!(check(&chain(400, " OR ")).is_ok());
        assert!(check(&chain(600, " OR ")).unwrap_err().message.contains("IN (..)"));
        assert!(check(&format!("SELECT {}", vec!["1"; 1100].join("+"))).is_err());
        assert!(check(&format!("SELECT a{}", "::int".repeat(1100))).is_err());
        assert!(check(&format!("SELECT a{}", "[1]".repeat(600))).is_err());
        assert!(check(&format!("SELECT 1 FROM {}", vec!["a"; 102].join(","))).is_err());
        assert!(check(&format!("SELECT 1 FROM (SELECT 1 FROM {})", vec!["a"; 102].join(","))).is_err());
        assert!(check(&format!("SELECT 1 FROM a WHERE b IN ({})", vec!["'x'"; 20_000].join(","))).is_ok());
        assert!(check(&format!("SELECT {} FROM a", vec!["b"; 2000].join(","))).is_ok());
        assert!(check(&vec!["SELECT 1"; 200].join(" UNION ALL ")).is_err());
        assert!(check("SELECT 'unterminated").is_ok());
    }
}
