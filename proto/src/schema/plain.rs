//! One type for one meaning: what hub and clients see of texts and bytes, however a table stores them.

use arrow::datatypes::DataType;

/// The type that values of `stored` have between hub and spokes, and at clients.
///
/// Dictionaries, views and large offsets are ways to lay the same values out. A plan that mixed them would be full of casts,
/// which keep conditions from being pushed down, and not every client reads them. Other types stay as they are.
#[must_use]
pub fn plain(stored: &DataType) -> DataType {
    match stored {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_of_the_same_values_are_one_type() {
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        for text in [DataType::Utf8, DataType::Utf8View, DataType::LargeUtf8, dictionary(DataType::Utf8View)] {
            assert_eq!(plain(&text), DataType::Utf8);
        }
        for bytes in [DataType::Binary, DataType::BinaryView, DataType::LargeBinary] {
            assert_eq!(plain(&bytes), DataType::Binary);
        }
        assert_eq!(plain(&dictionary(DataType::Int64)), DataType::Int64);
        assert_eq!(plain(&DataType::FixedSizeBinary(16)), DataType::FixedSizeBinary(16));
    }
}
