use std::fmt::Write;

/// A date and time of day, in whatever zone the caller means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Year, e.g. 2026.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second.
    pub second: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Moment {
    /// The moment `seconds` after 1970-01-01 00:00:00 UTC.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years begin in March.
        let z = days + 719_468;
        let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let small = |n: i64| u8::try_from(n).unwrap_or_default();
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * march_month + 2) / 5 + 1),
            hour: small(second_of_day / 3600),
            minute: small(second_of_day / 60 % 60),
            second: small(second_of_day % 60),
        }
    }

    /// Days since 1970-01-01 (days_from_civil of the same source).
    fn days(&self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = self.year - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// C's `strftime` in the C locale, for the codes chat templates use; the unknown code is the error.
    pub(super) fn format(&self, format: &str) -> Result<String, char> {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match (c, chars.clone().next()) {
                ('%', Some('-')) => {
                    // glibc's flag for a number without padding.
                    let mut padded = String::new();
                    self.field(chars.nth(1).unwrap_or('-'), &mut padded)?;
                    let bare = padded.trim_start_matches(['0', ' ']);
                    out.push_str(if bare.is_empty() { "0" } else { bare });
                }
                ('%', _) => self.field(chars.next().unwrap_or('%'), &mut out)?,
                _ => out.push(c),
            }
        }
        Ok(out)
    }

    fn field(&self, code: char, out: &mut String) -> Result<(), char> {
        let month = MONTHS.get(usize::from(self.month.saturating_sub(1))).copied().unwrap_or_default();
        let weekday = WEEKDAYS.get((self.days() + 4).rem_euclid(7) as usize).copied().unwrap_or_default();
        let written = match code {
            'Y' => write!(out, "{}", self.year),
            'y' => write!(out, "{:02}", self.year.rem_euclid(100)),
            'm' => write!(out, "{:02}", self.month),
            'd' => write!(out, "{:02}", self.day),
            'e' => write!(out, "{:2}", self.day),
            'H' => write!(out, "{:02}", self.hour),
            'I' => write!(out, "{:02}", (self.hour % 12 + 11) % 12 + 1),
            'M' => write!(out, "{:02}", self.minute),
            'S' => write!(out, "{:02}", self.second),
            'p' => write!(out, "{}", if self.hour < 12 { "AM" } else { "PM" }),
            'j' => write!(out, "{:03}", self.days() - Self { month: 1, day: 1, ..*self }.days() + 1),
            'B' => write!(out, "{month}"),
            'b' | 'h' => write!(out, "{}", month.get(..3).unwrap_or(month)),
            'A' => write!(out, "{weekday}"),
            'a' => write!(out, "{}", weekday.get(..3).unwrap_or(weekday)),
            'F' => return self.format("%Y-%m-%d").map(|date| out.push_str(&date)),
            'T' => return self.format("%H:%M:%S").map(|time| out.push_str(&time)),
            '%' => write!(out, "%"),
            other => return Err(other),
        };
        written.map_err(|_| code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by `date -u -d @N`.
    #[test]
    fn known_moments() {
        let cases = [
            (0, "1970-01-01 00:00:00 Thu Thursday 01 Jan 70 001 12 AM"),
            (951_782_400, "2000-02-29 00:00:00 Tue Tuesday 29 Feb 00 060 12 AM"),
            (1_735_689_599, "2024-12-31 23:59:59 Tue Tuesday 31 Dec 24 366 11 PM"),
            (-1, "1969-12-31 23:59:59 Wed Wednesday 31 Dec 69 365 11 PM"),
            (4_107_542_400, "2100-03-01 00:00:00 Mon Monday 01 Mar 00 060 12 AM"),
        ];
        for (seconds, expected) in cases {
            let moment = Moment::from_unix(seconds);
            assert_eq!(moment.format("%F %T %a %A %d %b %y %j %I %p").as_deref(), Ok(expected));
            assert_eq!(moment.days(), seconds.div_euclid(86_400));
        }
    }

    #[test]
    fn dash_drops_the_padding() {
        let moment = Moment { year: 2026, month: 3, day: 5, ..Moment::default() };
        assert_eq!(moment.format("%-d.%-m.%Y %-H").as_deref(), Ok("5.3.2026 0"));
    }

    #[test]
    fn unknown_code_is_named() {
        assert_eq!(Moment::default().format("%Q"), Err('Q'));
        assert_eq!(Moment::default().format("100%").as_deref(), Ok("100%"));
    }
}
