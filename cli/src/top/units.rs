//! Numbers with their units, each kind in a width of its own: a value that grows moves nothing beside it.

use std::time::Duration;

/// Columns of [`rate`].
pub(super) const RATE_WIDTH: usize = 7;

/// Columns of [`bytes`].
pub(super) const BYTES_WIDTH: usize = 8;

/// Columns of [`seconds`].
pub(super) const SECONDS_WIDTH: usize = 7;

/// What stands where there is no number yet.
pub(super) const NONE: &str = "-";

/// A number in at most five columns: three digits, and `k`, `M`, `G` or `T` for thousands.
pub(super) fn short(value: f64) -> String {
    let mut value = value.max(0.0);
    let mut suffix = "";
    for next in ["k", "M", "G", "T"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        suffix = next;
    }
    let digits = digits(value);
    format!("{value:.digits$}{suffix}")
}

/// Decimals that make three digits.
fn digits(value: f64) -> usize {
    if value < 9.995 && value > 0.0 {
        2
    } else if value < 99.95 && value > 0.0 {
        1
    } else {
        0
    }
}

/// A number of things: whole, and in at most five columns.
pub(super) fn count(value: f64) -> String {
    let (mut value, mut suffix) = (value.max(0.0), "");
    for next in ["k", "M", "G", "T"] {
        if value < 9_999.5 {
            break;
        }
        value /= 1000.0;
        suffix = next;
    }
    format!("{value:.0}{suffix}")
}

/// Something per second.
pub(super) fn rate(value: Option<f64>) -> String {
    let text = value.map_or_else(|| NONE.to_owned(), |value| format!("{}/s", short(value)));
    format!("{text:>RATE_WIDTH$}")
}

/// Memory.
pub(super) fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let digits = if unit == "B" { 0 } else { digits(value).min(1) };
    format!("{:>BYTES_WIDTH$}", format!("{value:.digits$} {unit}"))
}

/// A time from a histogram; infinite where it lies beyond the last bucket, whose bound this is.
pub(super) fn seconds(value: Option<f64>, last: f64) -> String {
    let text = match value {
        None => NONE.to_owned(),
        Some(value) if value.is_infinite() => format!(">{last:.0} s"),
        Some(value) if value < 0.9995 => {
            let value = value * 1000.0;
            format!("{value:.*} ms", digits(value).min(if value < 9.95 { 2 } else { 1 }))
        }
        Some(value) => format!("{value:.*} s", digits(value)),
    };
    format!("{text:>SECONDS_WIDTH$}")
}

/// A share, in six columns.
pub(super) fn percent(value: Option<f64>) -> String {
    let text = value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.0} %"));
    format!("{text:>6}")
}

/// How long something has lasted, in its two largest units.
pub(super) fn age(seconds: f64) -> String {
    let total = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (days, hours, minutes) = (total / 86_400, total / 3600 % 24, total / 60 % 60);
    match total {
        86_400.. => format!("{days}d {hours:02}h"),
        3600.. => format!("{hours}h {minutes:02}m"),
        60.. => format!("{minutes}m {:02}s", total % 60),
        _ => format!("{total}s"),
    }
}

/// A text of a server without what a terminal would take for a command.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_three_digits_and_at_most_five_columns() {
        let table = [
            (0.0, "0"),
            (0.004, "0.00"),
            (1.234, "1.23"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (99.96, "100"),
            (123.4, "123"),
            (999.6, "1.00k"),
            (12_345.0, "12.3k"),
            (1e6, "1.00M"),
            (-1.0, "0"),
        ];
        for (value, text) in table {
            assert_eq!(short(value), text);
        }
        let mut value = 0.000_1;
        while value < 1e14 {
            assert!(short(value).len() <= 5, "{value}: {}", short(value));
            value *= 1.07;
        }
    }

    #[test]
    fn a_number_of_things_is_whole() {
        for (value, text) in
            [(0.0, "0"), (5.0, "5"), (1024.0, "1024"), (9_999.0, "9999"), (12_345.0, "12k"), (2e7, "20M")]
        {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn no_value_changes_its_width() {
        let mut value = 0.000_01;
        while value < 1e14 {
            assert_eq!(rate(Some(value)).len(), RATE_WIDTH, "{value}");
            assert_eq!(bytes(value as u64).len(), BYTES_WIDTH, "{value}");
            if value < 30.0 {
                assert_eq!(seconds(Some(value), 30.0).len(), SECONDS_WIDTH, "{value}");
            }
            value *= 1.07;
        }
        assert_eq!((rate(None).len(), seconds(None, 30.0).len(), percent(None).len()), (RATE_WIDTH, SECONDS_WIDTH, 6));
        assert_eq!((percent(Some(100.0)).len(), percent(Some(3.2)).len()), (6, 6));
    }

    #[test]
    fn memory_and_times_read_as_people_say_them() {
        assert_eq!(bytes(0).trim(), "0 B");
        assert_eq!(bytes(1023).trim(), "1.0 KiB");
        assert_eq!(bytes(90_901_504).trim(), "86.7 MiB");
        assert_eq!(bytes(2 << 30).trim(), "2.0 GiB");
        assert_eq!(seconds(Some(0.000_5), 30.0).trim(), "0.50 ms");
        assert_eq!(seconds(Some(0.009_8), 30.0).trim(), "9.80 ms");
        assert_eq!(seconds(Some(0.123_4), 30.0).trim(), "123 ms");
        assert_eq!(seconds(Some(1.5), 30.0).trim(), "1.50 s");
        assert_eq!(seconds(Some(f64::INFINITY), 30.0).trim(), ">30 s");
        assert_eq!(age(12.0), "12s");
        assert_eq!(age(247.0), "4m 07s");
        assert_eq!(age(7500.0), "2h 05m");
        assert_eq!(age(274_000.0), "3d 04h");
    }

    #[test]
    fn nothing_that_a_server_sends_is_a_command_of_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}"), "a?[2Jb?c?");
    }
}
