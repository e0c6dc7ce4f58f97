//! Which rule hides a cell, as a number beside it: 0 where none does.
//!
//! The functions here take what `persons` and `contributions` say of a cell and ask the library
//! (`policies::disclosure`), through [`boundaries`]. They are exact: what they are made of is never shown.
//!
//! Where a number is hidden for being about everybody of a group, all but one to four of them are hidden the same way, and so is a share of
//! nobody or of one to four: the words would tell the ones from the others, which the noise of a shown count doesn't. So nobody has the words
//! of few people everywhere.

mod boundaries;

pub(super) use boundaries::Boundaries;

use arrow::{
    array::{ArrayRef, AsArray, BinaryArray, StringArray, UInt8Array},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type, UInt8Type},
};
use boundaries::people;
use datafusion::{
    common::{DataFusionError, Result, exec_datafusion_err, exec_err},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction,
    },
};
use policies::disclosure::{Rule, Status, Threshold, of_row};
use proto::plan::{contributions::Contributions, persons::NoSummary};
use std::{collections::HashMap, sync::Arc};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Looks {
    /// `(people)`: whether there are enough
    Few,
    /// `(part, whole)`: a count of some of a group
    Part,
    /// `(adding, all)`: a mean or a spread of zeros and ones
    Share,
    /// `(contributions)`: a sum
    Sum,
    /// `(contributions, value)`: a standard deviation, or a mean, of which the value is the deviation
    Deviation,
    /// `(contributions, value)`: a variance
    Variance,
    /// `(contributions)`: who add something, for the noise
    Adding,
    /// `(contributions)`: who have a value, for the noise
    All,
}

impl Looks {
    /// The call.
    pub(super) fn at(self, args: Vec<Expr>, boundaries: Boundaries) -> Expr {
        let function = ScalarUDF::new_from_impl(Look { looks: self, boundaries, signature: any(args.len()) });
        Expr::ScalarFunction(ScalarFunction { func: Arc::new(function), args })
    }
}

fn any(arguments: usize) -> Signature {
    Signature::any(arguments, Volatility::Immutable)
}

/// The number of a rule.
pub(super) fn code(rule: Rule) -> u8 {
    match rule {
        Rule::Few(_) => 1,
        Rule::Contributors => 2,
        Rule::Dominated => 3,
        Rule::Near => 4,
        Rule::Group | Rule::Rest(_) => 5,
        Rule::Complement => 6,
        Rule::Withheld => 7,
        Rule::Beside => 8,
    }
}

/// Numbers above it are a threshold that a permit has raised, so much larger.
const RAISED: u8 = 100;

/// The number of [`Rule::Few`] under a raised threshold; one above 155 is told as 155.
pub(super) fn code_of_few(least: u64) -> u8 {
    if least <= Threshold::DEFAULT.least() {
        return code(Rule::Few(least));
    }
    RAISED.saturating_add(u8::try_from(least).unwrap_or(u8::MAX))
}

/// The rule of a number.
fn rule(code: u8) -> Option<Rule> {
    Some(match code {
        1 => Rule::Few(Threshold::DEFAULT.least()),
        2 => Rule::Contributors,
        3 => Rule::Dominated,
        4 => Rule::Near,
        5 => Rule::Group,
        6 => Rule::Complement,
        7 => Rule::Withheld,
        8 => Rule::Beside,
        raised if raised > RAISED => Rule::Few(u64::from(raised - RAISED)),
        _ => return None,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Look {
    looks: Looks,
    boundaries: Boundaries,
    signature: Signature,
}

impl ScalarUDFImpl for Look {
    fn name(&self) -> &str {
        match self.looks {
            Looks::Few => "rule_of_people",
            Looks::Part => "rule_of_part",
            Looks::Share => "rule_of_share",
            Looks::Sum => "rule_of_sum",
            Looks::Deviation => "rule_of_deviation",
            Looks::Variance => "rule_of_variance",
            Looks::Adding => "adding",
            Looks::All => "having",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(if matches!(self.looks, Looks::Adding | Looks::All) { DataType::Binary } else { DataType::UInt8 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let bytes = |at: usize| -> Result<&BinaryArray> {
            let array = arrays.get(at).and_then(|array| array.as_binary_opt::<i32>());
            array.ok_or_else(|| exec_datafusion_err!("{}: what is known of a cell is missing", self.name()))
        };
        let first = bytes(0)?;
        let by = self.boundaries;
        let found: ArrayRef = match self.looks {
            Looks::Adding | Looks::All => {
                let part = |said: Option<&[u8]>| -> Result<Option<Vec<u8>>> {
                    let Some(said) = said.map(read).transpose()? else { return Ok(None) };
                    let part = if self.looks == Looks::All { Some(said.all) } else { said.adding };
                    Ok(part.map(<[u8]>::to_vec))
                };
                Arc::new(BinaryArray::from_iter(first.iter().map(part).collect::<Result<Vec<_>>>()?))
            }
            Looks::Few => codes(first.iter().map(|cell| by.few(people(cell)?)))?,
            Looks::Part | Looks::Share => codes(first.iter().zip(bytes(1)?).map(|(part, whole)| {
                let (part, whole) = (people(part)?, people(whole)?);
                if self.looks == Looks::Part { by.of_part(part, whole) } else { by.of_share(part, whole) }
            }))?,
            Looks::Sum => codes(first.iter().map(|said| by.of_sum(said.map(read).transpose()?.as_ref())))?,
            Looks::Deviation | Looks::Variance => {
                let Some(values) = arrays.get(1) else { return exec_err!("{}: a value is missing", self.name()) };
                let values = cast(values, &DataType::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                codes(first.iter().zip(values).map(|(said, value)| {
                    let value = value.map(|value| if self.looks == Looks::Variance { value.sqrt() } else { value });
                    by.of_spread(said.map(read).transpose()?.as_ref(), value)
                }))?
            }
        };
        Ok(ColumnarValue::Array(found))
    }
}

fn read(bytes: &[u8]) -> Result<Contributions<'_>> {
    Contributions::read(bytes).map_err(unread)
}

fn unread(error: NoSummary) -> DataFusionError {
    exec_datafusion_err!("{error}")
}

fn codes(rules: impl Iterator<Item = Result<Option<Rule>>>) -> Result<ArrayRef> {
    let codes = rules.map(|rule| Ok(Some(rule?.map_or(0, code))));
    Ok(Arc::new(codes.collect::<Result<UInt8Array>>()?))
}

/// A column of the result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Told {
    pub(super) name: String,
    /// places of the flags that hide it
    pub(super) hidden_by: Vec<usize>,
    /// whether it has noise where it is shown
    pub(super) noisy: bool,
}

/// What is said of a row: `flags` are the columns with numbers of rules, `columns` those of the result; `whole` is said where nothing
/// is hidden.
pub(super) fn status(flags: Vec<Expr>, columns: Vec<Told>, whole: &'static str) -> Expr {
    let function = ScalarUDF::new_from_impl(Words { columns, whole, signature: any(flags.len()) });
    Expr::ScalarFunction(ScalarFunction { func: Arc::new(function), args: flags })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Words {
    columns: Vec<Told>,
    whole: &'static str,
    signature: Signature,
}

impl Words {
    /// Of one pattern of flags.
    fn of(&self, flags: &[u8]) -> String {
        let mut whole = true;
        // What nothing can hide, a constant or a name from a code list, doesn't count as shown.
        let columns = self.columns.iter().filter(|column| !column.hidden_by.is_empty());
        let statistics = columns.map(|Told { name, hidden_by, noisy }| {
            let rules = hidden_by.iter().filter_map(|at| rule(flags.get(*at).copied().unwrap_or_default()));
            let status = match rules.min() {
                Some(rule) => Status::Suppressed(rule),
                None if *noisy => Status::Perturbed,
                None => Status::Released,
            };
            whole &= !matches!(status, Status::Suppressed(_));
            (name.as_str(), status)
        });
        let statistics: Vec<(&str, Status)> = statistics.collect();
        if whole { self.whole.to_owned() } else { of_row(&statistics) }
    }
}

impl ScalarUDFImpl for Words {
    fn name(&self) -> &str {
        "release_words"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let flags = args.args.iter().map(|flag| {
            let flag = cast(&flag.to_array(rows)?, &DataType::UInt8)?;
            Ok(flag.as_primitive::<UInt8Type>().iter().map(Option::unwrap_or_default).collect::<Vec<u8>>())
        });
        let flags = flags.collect::<Result<Vec<_>>>()?;
        let mut known: HashMap<Vec<u8>, String> = HashMap::new();
        let words = (0..rows).map(|row| {
            let pattern: Vec<u8> = flags.iter().map(|flag| flag.get(row).copied().unwrap_or_default()).collect();
            let words = known.entry(pattern).or_insert_with_key(|pattern| self.of(pattern));
            Some(words.clone())
        });
        Ok(ColumnarValue::Array(Arc::new(words.collect::<StringArray>())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{boundaries::alike, *};
    use policies::disclosure::SUPPRESSED;

    #[test]
    fn each_rule_has_its_own_number_but_the_rest_of_a_group() {
        for known in Rule::ALL {
            assert_eq!(rule(code(known)), Some(alike(known)));
        }
        assert_eq!((rule(0), rule(9)), (None, None));
        assert_eq!(Status::Suppressed(rule(1).unwrap()).to_string(), SUPPRESSED);
    }

    #[test]
    fn a_row_says_which_rule_hid_what() {
        let told = |name: &str, hidden_by: &[usize], noisy| Told {
            name: name.to_owned(),
            hidden_by: hidden_by.to_vec(),
            noisy,
        };
        let columns = [("kom", &[0][..]), ("n", &[0]), ("s", &[0, 1]), ("m", &[0, 2]), ("x", &[])];
        let with = |noisy: bool| columns.map(|(name, flags)| told(name, flags, noisy && name != "kom")).to_vec();
        let words = Words { columns: with(true), whole: "perturbed", signature: any(3) };
        assert_eq!(words.of(&[0, 2, 2]), "perturbed; suppressed: fewer than 10 contributors in s, m");
        let without_n = Words {
            columns: with(true).into_iter().filter(|column| column.name != "n").collect(),
            whole: "perturbed",
            signature: any(3),
        };
        assert_eq!(without_n.of(&[0, 2, 2]), "suppressed: fewer than 10 contributors in s, m", "no number is shown");
        let words = Words { columns: with(false), whole: "perturbed", signature: any(3) };
        assert_eq!(words.of(&[0, 0, 0]), "perturbed");
        assert_eq!(words.of(&[1, 0, 0]), SUPPRESSED);
        assert_eq!(words.of(&[0, 2, 2]), "suppressed: fewer than 10 contributors in s, m");
        assert_eq!(
            words.of(&[0, 2, 3]),
            "suppressed: fewer than 10 contributors in s; suppressed: dominated by two people in m"
        );
        let only = Words { columns: vec![told("s", &[0, 1], true)], whole: "perturbed", signature: any(2) };
        assert_eq!(only.of(&[0, 3]), "suppressed: dominated by two people");
    }
}
