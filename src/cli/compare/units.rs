//! Figures as people read them: the same in the table, in the findings and in the chart.

/// A count, with its thousands apart.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// So many events.
pub(super) fn events(number: u64) -> String {
    match number {
        1 => "1 event".to_owned(),
        many => format!("{} events", count(many)),
    }
}

/// So many events a second.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        1.0 => "1 event a second".to_owned(),
        rate => format!("{rate} events a second"),
    }
}

/// A quantity of bytes, or of whatever is mostly a whole number.
pub(super) fn bytes(bytes: f64) -> String {
    count(bytes.max(0.0).round() as u64)
}

/// Something that may be far less than 1, or far more.
pub(super) fn ratio(ratio: f64) -> String {
    match ratio {
        none if none <= 0.0 => "0".to_owned(),
        few if few < 0.095 => format!("{few:.3}"),
        few if few < 9.95 => format!("{few:.2}"),
        some if some < 99.95 => format!("{some:.1}"),
        many => bytes(many),
    }
}

/// The same in one digit, of what is known no better.
pub(super) fn about(ratio: f64) -> String {
    if ratio <= 0.0 {
        return "0".to_owned();
    }
    let power = ratio.log10().floor() as i32;
    let rounded = match power < 0 {
        true => (ratio * 10_f64.powi(-power)).round() / 10_f64.powi(-power),
        false => (ratio / 10_f64.powi(power)).round() * 10_f64.powi(power),
    };
    rounded.to_string()
}

/// Microseconds in the unit that suits them, with three digits.
pub(super) fn time(microseconds: f64) -> String {
    let (value, unit) = match microseconds {
        us if us < 999.5 => (us, "µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    match value {
        value if value < 9.995 => format!("{value:.2} {unit}"),
        value if value < 99.95 => format!("{value:.1} {unit}"),
        value => format!("{value:.0} {unit}"),
    }
}

/// The same for what may not be known.
pub(super) fn known_time(microseconds: Option<f64>) -> String {
    microseconds.map_or_else(|| "unknown".to_owned(), time)
}

/// A share of 1 in hundredths. What is rounded is said to be neither none nor all.
pub(super) fn percent(share: f64) -> String {
    match share {
        all if all >= 1.0 => "all".to_owned(),
        none if none <= 0.0 => "none".to_owned(),
        most if most >= 0.995 => "over 99 %".to_owned(),
        few if few < 0.005 => "under 1 %".to_owned(),
        some => format!("{:.0} %", some * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        let counts = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_event_is_not_many() {
        assert_eq!(
            (events(1), events(1600)),
            ("1 event".into(), "1,600 events".into())
        );
        assert_eq!(rate(1.0), "1 event a second");
        assert_eq!(rate(0.5), "0.5 events a second");
    }

    #[test]
    fn times_have_three_digits_and_the_unit_that_suits_them() {
        let times = [0.5, 9.994, 9.996, 99.96, 812.0, 999.6, 51_234.0, 2.45e6].map(time);
        let expected = [
            "0.50 µs", "9.99 µs", "10.0 µs", "100 µs", "812 µs", "1.00 ms", "51.2 ms", "2.45 s",
        ];
        assert_eq!(times, expected);
        assert_eq!(known_time(None), "unknown");
    }

    #[test]
    fn ratios_are_told_as_finely_as_they_are_small() {
        let ratios = [0.0, 0.0501, 0.51, 1.0, 20.04, 1234.5].map(ratio);
        assert_eq!(ratios, ["0", "0.050", "0.51", "1.00", "20.0", "1,235"]);
    }

    #[test]
    fn what_is_known_no_better_has_one_digit() {
        let ratios = [0.0, 0.034, 0.25, 0.97, 1.0, 3.32, 9.7, 57.3, 1234.0].map(about);
        assert_eq!(
            ratios,
            ["0", "0.03", "0.3", "1", "1", "3", "10", "60", "1000"]
        );
    }

    #[test]
    fn nearly_all_is_not_all() {
        let shares = [0.0, 0.001, 0.124, 0.999, 1.0].map(percent);
        assert_eq!(shares, ["none", "under 1 %", "12 %", "over 99 %", "all"]);
    }
}
