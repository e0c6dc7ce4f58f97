//! What kind of thing a rejected value is: enough to find the fault, too little to know the value.

use std::fmt::Write;

/// Class of a rejected value, such as "text of 12 characters".
pub(crate) fn class_of(field: &[u8]) -> String {
    let field = super::trimmed(field);
    if field.is_empty() {
        return "empty".to_owned();
    }
    let text = String::from_utf8_lossy(field);
    let digits = field.iter().filter(|byte| byte.is_ascii_digit()).count();
    let characters = text.chars().count();
    let plain = |extra: &[u8]| field.iter().all(|byte| byte.is_ascii_digit() || extra.contains(byte));
    if digits == field.len() {
        return format!("number of {digits} digits");
    }
    if digits >= 4 && plain(b"-/.: T") && field.iter().filter(|byte| b"-/.:".contains(byte)).count() >= 2 {
        return "date-like".to_owned();
    }
    if (9..=20).contains(&characters)
        && field.get(..2).is_some_and(|day| day.iter().all(u8::is_ascii_digit))
        && field.get(2..5).is_some_and(|month| month.iter().all(u8::is_ascii_alphabetic))
        && digits >= 6
    {
        return "date-like".to_owned();
    }
    if digits > 0 && plain(b"+-.,eE") {
        return "number".to_owned();
    }
    let mut class = String::new();
    // Writing to a String has no way to fail.
    let _ = write!(class, "text of {characters} characters");
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_say_the_kind_and_not_the_value() {
        for (value, class) in [
            ("", "empty"),
            ("   ", "empty"),
            ("0101901234", "number of 10 digits"),
            ("1,5", "number"),
            ("-3.2E5", "number"),
            ("60-02-2020", "date-like"),
            ("2020-02-60 12:00", "date-like"),
            ("60FEB2020", "date-like"),
            ("Ærø", "text of 3 characters"),
            ("blodtype A", "text of 10 characters"),
        ] {
            assert_eq!(class_of(value.as_bytes()), class, "{value}");
        }
    }
}
