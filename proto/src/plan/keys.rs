//! Lists of keys: the values of a join's one side, which the other side's rows are looked up in.
//!
//! A list that is too long to be sent whole becomes a Bloom filter, which finds a few strangers too: only where rows that
//! match nothing are dropped later anyway.
//!
//! INVARIANT: a list is never shown; who is in it tells who is in a cohort.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};
use std::{
    collections::HashSet,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

use super::{
    bloom::{Bloom, Of},
    numbers::{Numbers, each_number},
    spread::Spread,
};
use crate::wire::{self, key_list::Kind};

/// Name of the function that looks values up; no statement can call it.
pub const IN_KEYS: &str = "in_keys";
/// Bytes of a pseudonym.
const WIDTH: i32 = 16;

/// A list of keys.
#[derive(Clone, PartialEq)]
pub struct Keys(Form);

#[derive(Clone, PartialEq)]
enum Form {
    Everything,
    Ids { sorted: Vec<u128>, all: HashSet<u128, BuildHasherDefault<Spread>> },
    Numbers(Numbers),
    Texts(HashSet<String>),
    Bloom(Bloom),
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.len(), &self.0) {
            (Some(keys), _) => write!(f, "Keys({keys})"),
            (None, Form::Bloom(_)) => f.write_str("Keys(bloom)"),
            (None, _) => f.write_str("Keys(everything)"),
        }
    }
}

/// Whether lists of keys of this type are made.
#[must_use]
pub fn can_list(kind: &DataType) -> bool {
    use DataType::{Date32, FixedSizeBinary, Int8, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
    matches!(kind, FixedSizeBinary(WIDTH) | Int8 | Int16 | Int32 | Int64 | Date32 | Utf8 | LargeUtf8 | Utf8View)
}

impl Keys {
    /// No restriction.
    #[must_use]
    pub fn everything() -> Self {
        Self(Form::Everything)
    }

    /// An empty list for values of this type; `None` for a type that can't be listed.
    #[must_use]
    pub fn empty(kind: &DataType) -> Option<Self> {
        use DataType::{FixedSizeBinary, LargeUtf8, Utf8, Utf8View};
        can_list(kind).then(|| {
            Self(match kind {
                FixedSizeBinary(_) => Form::Ids { sorted: Vec::new(), all: HashSet::default() },
                Utf8 | LargeUtf8 | Utf8View => Form::Texts(HashSet::new()),
                _ => Form::Numbers(Numbers::default()),
            })
        })
    }

    /// Pseudonyms.
    #[must_use]
    pub fn ids(ids: impl IntoIterator<Item = [u8; 16]>) -> Self {
        let mut sorted: Vec<u128> = ids.into_iter().map(u128::from_be_bytes).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let all = sorted.iter().copied().collect();
        Self(Form::Ids { sorted, all })
    }

    /// The pseudonyms in the list, ascending; `None` when it is of another type, or holds everything.
    #[must_use]
    pub fn sorted_ids(&self) -> Option<&[u128]> {
        match &self.0 {
            Form::Ids { sorted, .. } => Some(sorted),
            _ => None,
        }
    }

    /// Whether it is a filter, which has no values any more: they can be tested only as they were put in.
    #[must_use]
    pub fn is_bloom(&self) -> bool {
        matches!(self.0, Form::Bloom(_))
    }

    /// The same list as a filter, into which more can be put; everything stays everything.
    #[must_use]
    pub fn into_bloom(self) -> Self {
        let with = |of, put: &mut dyn FnMut(&mut Bloom)| {
            let mut bloom = Bloom::new(of);
            put(&mut bloom);
            Self(Form::Bloom(bloom))
        };
        match self.0 {
            Form::Ids { all, .. } => with(Of::Ids, &mut |b| all.iter().for_each(|id| b.insert(&id.to_be_bytes()[..]))),
            Form::Numbers(all) => with(Of::Numbers, &mut |b| all.iter().for_each(|n| b.insert(n))),
            Form::Texts(all) => with(Of::Texts, &mut |b| all.iter().for_each(|t| b.insert(t.as_str()))),
            other => Self(other),
        }
    }

    /// How many values; `None`: everything, or a filter.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        match &self.0 {
            Form::Everything | Form::Bloom(_) => None,
            Form::Ids { all, .. } => Some(all.len()),
            Form::Numbers(all) => Some(all.len()),
            Form::Texts(all) => Some(all.len()),
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Whether values of this type can be looked up.
    #[must_use]
    pub fn fits(&self, kind: &DataType) -> bool {
        use DataType::{Date32, FixedSizeBinary, Int8, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
        match &self.0 {
            Form::Everything => can_list(kind),
            Form::Ids { .. } | Form::Bloom(Bloom { of: Of::Ids, .. }) => matches!(kind, FixedSizeBinary(WIDTH)),
            Form::Numbers(_) | Form::Bloom(Bloom { of: Of::Numbers, .. }) => {
                matches!(kind, Int8 | Int16 | Int32 | Int64 | Date32)
            }
            Form::Texts(_) | Form::Bloom(Bloom { of: Of::Texts, .. }) => matches!(kind, Utf8 | LargeUtf8 | Utf8View),
        }
    }

    /// Puts the values of a column in; NULL is no key.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn add(&mut self, values: &dyn Array) -> Result<()> {
        match &mut self.0 {
            Form::Everything => Ok(()),
            Form::Ids { all, .. } => {
                let Some(ids) = values.as_fixed_size_binary_opt() else { return exec_err!("keys of another type") };
                all.extend(ids.iter().flatten().filter_map(|id| id.try_into().ok()).map(u128::from_be_bytes));
                Ok(())
            }
            Form::Numbers(all) => all.add(values),
            Form::Texts(all) => each_text(values, |text| {
                if let Some(text) = text
                    && !all.contains(text)
                {
                    all.insert(text.to_owned());
                }
            }),
            Form::Bloom(bloom) => match bloom.of {
                Of::Ids => {
                    let Some(ids) = values.as_fixed_size_binary_opt() else { return exec_err!("keys of another type") };
                    ids.iter().flatten().for_each(|id| bloom.insert(id));
                    Ok(())
                }
                Of::Numbers => each_number(values, |number| {
                    number.into_iter().for_each(|number| bloom.insert(&number));
                }),
                Of::Texts => each_text(values, |text| {
                    text.into_iter().for_each(|text| bloom.insert(text));
                }),
            },
        }
    }

    /// A list that takes no more than `most` bytes on the link: a filter of it, or no restriction when not even that fits.
    #[must_use]
    pub fn within(&self, most: usize) -> Self {
        match self.clone().into_bloom().0 {
            Form::Bloom(bloom) => bloom.finish(most).map_or_else(Self::everything, |bloom| Self(Form::Bloom(bloom))),
            _ => Self::everything(),
        }
    }

    /// In order, when all are in.
    #[must_use]
    pub fn finish(mut self) -> Self {
        if self.is_bloom() {
            return self.within(super::bloom::MAX_BLOOM);
        }
        match &mut self.0 {
            Form::Ids { sorted, all } => {
                *sorted = all.iter().copied().collect();
                sorted.sort_unstable();
            }
            Form::Numbers(all) => all.finish(),
            _ => {}
        }
        self
    }

    /// For each value whether it is in the list; NULL is in none.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn contains(&self, values: &dyn Array) -> Result<BooleanArray> {
        let mut found = Vec::with_capacity(values.len());
        match &self.0 {
            Form::Everything => found.resize(values.len(), true),
            Form::Ids { all, .. } => {
                let Some(ids) = values.as_fixed_size_binary_opt() else { return exec_err!("keys of another type") };
                // Rows of one person often follow each other.
                let mut last: Option<(&[u8], bool)> = None;
                found.extend(ids.iter().map(|id| {
                    let Some(id) = id else { return false };
                    if let Some((known, found)) = last
                        && known == id
                    {
                        return found;
                    }
                    let is = id.try_into().is_ok_and(|id| all.contains(&u128::from_be_bytes(id)));
                    last = Some((id, is));
                    is
                }));
            }
            Form::Numbers(all) => return all.contains(values),
            Form::Texts(all) => each_text(values, |text| found.push(text.is_some_and(|t| all.contains(t))))?,
            Form::Bloom(bloom) => match bloom.of {
                Of::Ids => {
                    let Some(ids) = values.as_fixed_size_binary_opt() else { return exec_err!("keys of another type") };
                    found.extend(ids.iter().map(|id| id.is_some_and(|id| bloom.finds(id))));
                }
                Of::Numbers => {
                    each_number(values, |number| found.push(number.is_some_and(|number| bloom.finds(&number))))?;
                }
                Of::Texts => each_text(values, |text| found.push(text.is_some_and(|text| bloom.finds(text))))?,
            },
        }
        Ok(BooleanArray::from(found))
    }

    /// For the link.
    #[must_use]
    pub fn to_wire(&self) -> wire::KeyList {
        let kind = match &self.0 {
            Form::Everything => Kind::Everything(true),
            Form::Ids { sorted, .. } => Kind::Ids(sorted.iter().flat_map(|id| id.to_be_bytes()).collect()),
            Form::Numbers(all) => {
                let mut values: Vec<i64> = all.iter().copied().collect();
                values.sort_unstable();
                Kind::Numbers(wire::Numbers { values })
            }
            Form::Texts(all) => {
                let mut values: Vec<String> = all.iter().cloned().collect();
                values.sort_unstable();
                Kind::Texts(wire::Texts { values })
            }
            Form::Bloom(bloom) => {
                let of = match bloom.of {
                    Of::Ids => wire::KeyKind::Pseudonym,
                    Of::Numbers => wire::KeyKind::Number,
                    Of::Texts => wire::KeyKind::Text,
                };
                Kind::Bloom(wire::Bloom { of: of.into(), blocks: bloom.blocks() })
            }
        };
        wire::KeyList { kind: Some(kind) }
    }

    /// From the link; it was checked.
    #[must_use]
    pub fn from_wire(list: wire::KeyList) -> Self {
        match list.kind {
            None | Some(Kind::Everything(_)) => Self::everything(),
            Some(Kind::Ids(ids)) => Self::ids(ids.chunks_exact(16).filter_map(|id| id.try_into().ok())),
            Some(Kind::Numbers(numbers)) => Self(Form::Numbers(numbers.values.into_iter().collect())),
            Some(Kind::Texts(texts)) => Self(Form::Texts(texts.values.into_iter().collect())),
            Some(Kind::Bloom(bloom)) => match of(&bloom) {
                Some(of) => Self(Form::Bloom(Bloom::from_blocks(of, &bloom.blocks))),
                None => Self::everything(),
            },
        }
    }
}

fn of(bloom: &wire::Bloom) -> Option<Of> {
    match bloom.of() {
        wire::KeyKind::Pseudonym => Some(Of::Ids),
        wire::KeyKind::Number => Some(Of::Numbers),
        wire::KeyKind::Text => Some(Of::Texts),
        wire::KeyKind::Unspecified => None,
    }
}

fn each_text<'a>(values: &'a dyn Array, each: impl FnMut(Option<&'a str>)) -> Result<()> {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().for_each(each),
        DataType::LargeUtf8 => values.as_string::<i64>().iter().for_each(each),
        DataType::Utf8View => values.as_string_view().iter().for_each(each),
        _ => return exec_err!("keys of another type"),
    }
    Ok(())
}

/// Whether `value` is in the list.
#[must_use]
pub fn in_keys(value: Expr, keys: Arc<Keys>) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = Arc::new(ScalarUDF::new_from_impl(InKeys { keys, signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value]))
}

/// The value and the list of an expression that [`in_keys`] made.
#[must_use]
pub fn of_in_keys(e: &Expr) -> Option<(&Expr, &Arc<Keys>)> {
    let Expr::ScalarFunction(call) = e else { return None };
    let function = call.func.inner().downcast_ref::<InKeys>()?;
    call.args.first().map(|value| (value, &function.keys))
}

#[derive(Debug)]
struct InKeys {
    keys: Arc<Keys>,
    signature: Signature,
}

impl PartialEq for InKeys {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys)
    }
}

impl Eq for InKeys {}

impl Hash for InKeys {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.keys).hash(state);
    }
}

impl ScalarUDFImpl for InKeys {
    fn name(&self) -> &str {
        IN_KEYS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays: Vec<ArrayRef> = ColumnarValue::values_to_arrays(&args.args)?;
        let [values] = arrays.as_slice() else { return exec_err!("in_keys takes one argument") };
        Ok(ColumnarValue::Array(Arc::new(self.keys.contains(values)?)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{Date32Array, FixedSizeBinaryArray, Int64Array, StringArray};

    /// As good as random, and never the same for two numbers.
    fn id(n: u64) -> [u8; 16] {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((u128::from(mixed) << 64) | u128::from(n)).to_be_bytes()
    }

    fn ids(range: std::ops::Range<u64>) -> ArrayRef {
        let ids: Vec<[u8; 16]> = range.map(id).collect();
        Arc::new(FixedSizeBinaryArray::try_from_iter(ids.iter()).unwrap())
    }

    fn found(keys: &Keys, values: &dyn Array) -> usize {
        keys.contains(values).unwrap().true_count()
    }

    #[test]
    fn a_bloom_filter_loses_nobody_and_finds_few_strangers() {
        const IN: u64 = 300_000;
        let mut keys = Keys::empty(&DataType::FixedSizeBinary(16)).unwrap();
        keys.add(&ids(0..IN / 2)).unwrap();
        // What comes after it has become a filter is in it too.
        let mut keys = keys.into_bloom();
        keys.add(&ids(IN / 2..IN)).unwrap();
        let keys = Keys::from_wire(keys.finish().to_wire());
        assert!(keys.is_bloom() && keys.len().is_none() && keys.fits(&DataType::FixedSizeBinary(16)));
        assert_eq!(found(&keys, &ids(0..IN)), IN as usize);
        let strangers = found(&keys, &ids(IN..2 * IN)) as f64 / IN as f64;
        let bytes = prost::Message::encoded_len(&keys.to_wire());
        println!("{IN} keys: {bytes} bytes, {:.2} % of strangers found", strangers * 100.0);
        assert!(strangers > 0.0 && strangers < 0.015, "{strangers}");
        assert!(bytes <= (512 << 10) + 16, "{bytes}");
    }

    #[test]
    fn numbers_days_and_texts_become_filters_too() {
        for (kind, inside, outside) in [
            (
                DataType::Int64,
                Arc::new(Int64Array::from_iter((-500..500).map(Some).chain([None]))) as ArrayRef,
                Arc::new(Int64Array::from_iter_values(10_000..20_000)) as ArrayRef,
            ),
            (
                DataType::Date32,
                Arc::new(Date32Array::from_iter_values(0..1_000)),
                Arc::new(Date32Array::from_iter_values(5_000..15_000)),
            ),
            (
                DataType::Utf8,
                Arc::new(StringArray::from_iter_values((0..1_000).map(|n| format!("k{n}")))),
                Arc::new(StringArray::from_iter_values((0..10_000).map(|n| format!("x{n}")))),
            ),
        ] {
            let mut keys = Keys::empty(&kind).unwrap();
            keys.add(&inside).unwrap();
            let keys = Keys::from_wire(keys.finish().within(1 << 20).to_wire());
            assert!(keys.is_bloom() && keys.fits(&kind), "{kind}");
            // NULL is in none
            assert_eq!(found(&keys, &inside), 1_000, "{kind}");
            assert!(found(&keys, &outside) < 150, "{kind}");
        }
    }

    #[test]
    fn what_does_not_fit_holds_everything_and_never_less() {
        let mut keys = Keys::empty(&DataType::FixedSizeBinary(16)).unwrap();
        keys.add(&ids(0..100_000)).unwrap();
        let keys = keys.finish();
        for (most, bloom) in [(1 << 20, true), (96 << 10, true), (16 << 10, false), (31, false)] {
            let smaller = keys.within(most);
            assert_eq!(smaller.is_bloom(), bloom, "{most}");
            assert_eq!(found(&smaller, &ids(0..100_000)), 100_000);
            if bloom {
                assert!(prost::Message::encoded_len(&smaller.to_wire()) <= most + 16);
            }
        }
        assert_eq!(Keys::everything().within(1 << 20), Keys::everything());
    }
}
