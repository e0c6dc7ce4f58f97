//! Casts that succeed for every value of a type.
//!
//! INVARIANT: a pair of types is listed here only when there is no value that fails.

use arrow::datatypes::DataType;

/// Whether all values of `from` can be converted to `to`.
pub(super) fn always_fits(from: &DataType, to: &DataType) -> bool {
    if from == to || *from == DataType::Null {
        return true;
    }
    let text = matches!(to, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match (digits(from), digits(to)) {
        (Some((negative, bits)), Some((also, more))) => (also && more > bits) || (also == negative && more >= bits),
        _ if from.is_string() => text,
        _ if from.is_integer() => to.is_floating() || text || decimal_holds(from, to),
        _ if from.is_floating() => to.is_floating() || text,
        _ => match (from, to) {
            (DataType::Boolean, to) => to.is_integer() || to.is_floating() || text,
            (DataType::Decimal128(..), to) if to.is_floating() || text => true,
            (DataType::Decimal128(digits, scale), DataType::Decimal128(more, finer)) => {
                finer >= scale && i16::from(*more) - i16::from(*finer) >= i16::from(*digits) - i16::from(*scale)
            }
            _ => false,
        },
    }
}

/// Of integers: whether they can be negative, and how many bits their size has.
fn digits(kind: &DataType) -> Option<(bool, u8)> {
    Some(match kind {
        DataType::Int8 => (true, 7),
        DataType::Int16 => (true, 15),
        DataType::Int32 => (true, 31),
        DataType::Int64 => (true, 63),
        DataType::UInt8 => (false, 8),
        DataType::UInt16 => (false, 16),
        DataType::UInt32 => (false, 32),
        DataType::UInt64 => (false, 64),
        _ => return None,
    })
}

/// Whether a decimal has room for every integer of a type.
fn decimal_holds(from: &DataType, to: &DataType) -> bool {
    let (Some((_, bits)), DataType::Decimal128(all, scale)) = (digits(from), to) else { return false };
    let needed = match bits {
        0..=8 => 3,
        9..=16 => 5,
        17..=32 => 10,
        _ => 20,
    };
    i16::from(*all) - i16::from(*scale) >= needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType as D;

    #[test]
    fn what_always_fits_and_what_may_not() {
        for (from, to, fits) in [
            (D::Int32, D::Int64, true),
            (D::Int64, D::Int32, false),
            (D::UInt32, D::Int32, false),
            (D::UInt32, D::Int64, true),
            (D::Int8, D::UInt64, false),
            (D::Int64, D::Float64, true),
            (D::Float64, D::Int64, false),
            (D::Utf8, D::Int64, false),
            (D::Utf8, D::Utf8View, true),
            (D::Int32, D::Decimal128(10, 0), true),
            (D::Int32, D::Decimal128(10, 2), false),
            (D::Decimal128(10, 2), D::Decimal128(12, 4), true),
            (D::Decimal128(10, 2), D::Decimal128(10, 4), false),
            (D::Decimal128(10, 2), D::Float64, true),
            (D::Utf8, D::Date32, false),
            (D::Date32, D::Utf8, false),
        ] {
            assert_eq!(always_fits(&from, &to), fits, "{from} to {to}");
        }
    }
}
