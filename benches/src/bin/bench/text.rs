//! Figures as people read them.

/// Returns a time with its unit.
pub(crate) fn time(nanoseconds: f64) -> String {
    scaled(
        nanoseconds,
        &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
    )
}

/// Returns a count with its unit.
pub(crate) fn count(number: f64) -> String {
    scaled(number, &[(1e6, "M"), (1e3, "k"), (1.0, "")])
}

/// Returns bytes with their unit.
pub(crate) fn bytes(number: f64) -> String {
    scaled(number, &[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")])
}

/// Returns a number with two or three digits that matter.
pub(crate) fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        it if it < 0.009_95 => 4,
        it if it < 0.0995 => 3,
        it if it < 9.995 => 2,
        it if it < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

fn scaled(number: f64, units: &[(f64, &str)]) -> String {
    let unit = units.iter().find(|(size, _)| number >= *size);
    let (size, unit) = unit.or_else(|| units.last()).expect("there is a unit");
    format!("{} {unit}", digits(number / size))
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_shown() {
        assert_eq!(time(5.0), "5.00 ns");
        assert_eq!(time(12_345.0), "12.3 µs");
        assert_eq!(time(123_456_789.0), "123 ms");
        assert_eq!(count(1_234_567.0), "1.23 M");
        assert_eq!(count(12.0), "12.0");
        assert_eq!(digits(9.999), "10.0");
        assert_eq!(digits(0.0123), "0.012");
        assert_eq!(digits(0.001_23), "0.0012");
    }
}
