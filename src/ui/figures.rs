//! Numbers as people read them.

use std::time::Duration;

/// `48 211`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 page`, `48 211 pages`.
pub fn plural(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// `340 ms`, `3.2 s`, `2 m 12 s`, `1 h 5 m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3600.. => format!("{} h {} m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `00:01:37`.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds % 3600 / 60,
        seconds % 60
    )
}

/// `640 B`, `3.1 kB`, `41 MB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut size = number as f64 / 1000.0;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(size < 9.95);
    format!("{size:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let check = |number, expected: &str| assert_eq!(count(number), expected);
        check(0, "0");
        check(999, "999");
        check(1000, "1 000");
        check(1_234_567, "1 234 567");
        assert_eq!(plural(1, "page"), "1 page");
        assert_eq!(plural(0, "page"), "0 pages");
    }

    #[test]
    fn durations() {
        let check = |millis, expected: &str| {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        };
        check(0, "0 ms");
        check(999, "999 ms");
        check(3_240, "3.2 s");
        check(59_900, "59 s");
        check(132_000, "2 m 12 s");
        check(3_900_000, "1 h 5 m");
        assert_eq!(clock(Duration::from_secs(3_697)), "01:01:37");
    }

    #[test]
    fn sizes() {
        let check = |number, expected: &str| assert_eq!(bytes(number), expected);
        check(999, "999 B");
        check(3_120, "3.1 kB");
        check(41_400_000, "41 MB");
        check(999_900, "1.0 MB");
        check(2_500_000_000_000_000, "2500 TB");
    }
}
