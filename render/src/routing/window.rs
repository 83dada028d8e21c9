//! A maintenance window as a calendar of Alertmanager, which has hours of days, days of months, months and years, all in
//! UTC, but no single moments. So a window that happens once is written day by day, and ends on time by itself.

use belfry_crds::alertmanager::{DayRange, MuteTimeInterval, TimeInterval, TimeRange};
use belfry_crds::inference_model::Weekly;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};

use crate::model::{Times, ValidWindow};

/// The calendar of a window.
pub(super) fn interval(window: &ValidWindow) -> MuteTimeInterval {
    let time_intervals = match &window.times {
        Times::Once { from, until } => once(*from, *until),
        Times::Weekly(weekly) => vec![self::weekly(weekly)],
    };
    MuteTimeInterval { name: window.name.clone(), time_intervals }
}

fn weekly(weekly: &Weekly) -> TimeInterval {
    TimeInterval {
        times: vec![TimeRange { start_time: weekly.start.clone(), end_time: weekly.end.clone() }],
        weekdays: weekly.days.iter().map(|day| day.as_str().to_owned()).collect(),
        ..TimeInterval::default()
    }
}

fn once(from: DateTime, until: DateTime) -> Vec<TimeInterval> {
    let days = from.date().series(1.day()).take_while(|day| *day <= until.date());
    let midnight = Time::midnight();
    days.filter_map(|day| {
        let start = if day == from.date() { from.time() } else { midnight };
        let end = if day == until.date() { Some(until.time()) } else { None };
        (end != Some(midnight)).then(|| hours(day, start, end))
    })
    .collect()
}

/// Hours of one day; without an end, they last until the end of the day.
fn hours(day: Date, start: Time, end: Option<Time>) -> TimeInterval {
    let text = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
    TimeInterval {
        times: vec![TimeRange { start_time: text(start), end_time: end.map_or_else(|| "24:00".into(), text) }],
        days_of_month: vec![DayRange { start: day.day(), end: day.day() }],
        months: vec![day.month().to_string()],
        years: vec![day.year().to_string()],
        ..TimeInterval::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: &str, until: &str) -> Vec<String> {
        let text = |i: TimeInterval| {
            let (day, time) = (&i.days_of_month[0], &i.times[0]);
            format!("{}-{}-{} {}-{}", i.years[0], i.months[0], day.start, time.start_time, time.end_time)
        };
        once(from.parse().unwrap(), until.parse().unwrap()).into_iter().map(text).collect()
    }

    #[test]
    fn a_window_within_a_day_is_one_interval() {
        assert_eq!(days("2026-11-24T02:00", "2026-11-24T04:30"), ["2026-11-24 02:00-04:30"]);
    }

    #[test]
    fn a_window_over_the_turn_of_the_year_is_one_interval_for_each_day() {
        assert_eq!(
            days("2026-12-30T22:00", "2027-01-01T01:00"),
            ["2026-12-30 22:00-24:00", "2026-12-31 00:00-24:00", "2027-1-1 00:00-01:00"]
        );
    }

    #[test]
    fn a_window_until_midnight_does_not_touch_the_next_day() {
        assert_eq!(days("2026-11-24T02:00", "2026-11-25T00:00"), ["2026-11-24 02:00-24:00"]);
    }
}
