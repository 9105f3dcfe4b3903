//! What is known of a key.

use std::fmt;
use std::ops::Deref;

/// A time: 100-nanosecond intervals since 1601 (UTC), in two halves.
#[allow(non_snake_case, reason = "they are Windows' names")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FILETIME {
    /// The lower half.
    pub dwLowDateTime: u32,
    /// The upper half.
    pub dwHighDateTime: u32,
}

/// A time (UTC), in parts.
#[allow(non_snake_case, reason = "they are Windows' names")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SYSTEMTIME {
    /// The year.
    pub wYear: u16,
    /// The month, from 1.
    pub wMonth: u16,
    /// The day of the week, from 0, Sunday.
    pub wDayOfWeek: u16,
    /// The day, from 1.
    pub wDay: u16,
    /// The hour.
    pub wHour: u16,
    /// The minute.
    pub wMinute: u16,
    /// The second.
    pub wSecond: u16,
    /// The millisecond.
    pub wMilliseconds: u16,
}

/// A [`FILETIME`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FileTime(pub(super) FILETIME);

impl Deref for FileTime {
    type Target = FILETIME;

    fn deref(&self) -> &FILETIME {
        &self.0
    }
}

impl fmt::Debug for FileTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What [`RegKey::query_info`](super::RegKey::query_info) tells. Lengths of names are in UTF-16 units without a
/// terminator, those of data in bytes, as a [`RegValue`](super::RegValue) has it.
#[derive(Clone, Debug, Default)]
pub struct RegKeyMetadata {
    /// How many subkeys there are.
    pub sub_keys: u32,
    /// The longest name of one.
    pub max_sub_key_len: u32,
    /// Always 0: keys have no classes.
    pub max_class_len: u32,
    /// How many values there are.
    pub values: u32,
    /// The longest name of one.
    pub max_value_name_len: u32,
    /// The longest data of one.
    pub max_value_len: u32,
    /// When the key was written last.
    pub last_write_time: FileTime,
}

/// Intervals of 100 ns in a second.
const PER_SECOND: i64 = 10_000_000;
/// Seconds from 1601 to 1970.
const UNTIL_1970: i64 = 11_644_473_600;
const PER_DAY: i64 = 86_400;

impl FileTime {
    /// Of a time of the registry, in nanoseconds since 1970. What is before 1601 becomes that.
    pub fn of_nanoseconds(time: i64) -> FileTime {
        let intervals = time.div_euclid(100).saturating_add(UNTIL_1970 * PER_SECOND).max(0) as u64;
        let (low, high) = (intervals as u32, (intervals >> 32) as u32);
        FileTime(FILETIME { dwLowDateTime: low, dwHighDateTime: high })
    }

    fn intervals(&self) -> i64 {
        let all = u64::from(self.dwHighDateTime) << 32 | u64::from(self.dwLowDateTime);
        i64::try_from(all).unwrap_or(i64::MAX)
    }
}

impl RegKeyMetadata {
    /// When the key was written last, in parts.
    pub fn get_last_write_time_system(&self) -> SYSTEMTIME {
        let intervals = self.last_write_time.intervals();
        let seconds = intervals / PER_SECOND;
        let (days, second) = (seconds / PER_DAY, seconds % PER_DAY);
        let (year, month, day) = date(days);
        SYSTEMTIME {
            wYear: year as u16,
            wMonth: month as u16,
            // 1601 began with a Monday.
            wDayOfWeek: ((days + 1) % 7) as u16,
            wDay: day as u16,
            wHour: (second / 3600) as u16,
            wMinute: (second / 60 % 60) as u16,
            wSecond: (second % 60) as u16,
            wMilliseconds: (intervals % PER_SECOND / 10_000) as u16,
        }
    }

    /// When the key was written last (UTC).
    #[cfg(feature = "chrono")]
    pub fn get_last_write_time_chrono(&self) -> chrono::NaiveDateTime {
        let intervals = self.last_write_time.intervals();
        let (seconds, rest) = (intervals / PER_SECOND - UNTIL_1970, intervals % PER_SECOND);
        let time = chrono::DateTime::from_timestamp(seconds, rest as u32 * 100);
        time.unwrap_or_default().naive_utc()
    }
}

/// Year, month and day of a number of days since 1 January 1601, which began a cycle of 400 years: four of 100 years, of
/// which each last year but the last one of the cycle has no leap day.
fn date(days: i64) -> (i64, i64, i64) {
    let (cycle, rest) = (days / 146_097, days % 146_097);
    let century = (rest / 36_524).min(3);
    let rest = rest - century * 36_524;
    let (four, rest) = (rest / 1461, rest % 1461);
    let single = (rest / 365).min(3);
    let mut day = rest - single * 365;
    let year = 1601 + cycle * 400 + century * 100 + four * 4 + single;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let months = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(seconds: i64) -> [u16; 7] {
        let last_write_time = FileTime::of_nanoseconds(seconds * 1_000_000_000 + 123_456_789);
        let info = RegKeyMetadata { last_write_time, ..RegKeyMetadata::default() };
        let time = info.get_last_write_time_system();
        assert_eq!(time.wMilliseconds, 123);
        [
            time.wYear,
            time.wMonth,
            time.wDay,
            time.wHour,
            time.wMinute,
            time.wSecond,
            time.wDayOfWeek,
        ]
    }

    #[test]
    fn times_are_told_in_parts() {
        assert_eq!(parts(0), [1970, 1, 1, 0, 0, 0, 4]);
        assert_eq!(parts(951_782_400), [2000, 2, 29, 0, 0, 0, 2]);
        assert_eq!(parts(1_764_201_599), [2025, 11, 26, 23, 59, 59, 3]);
        assert_eq!(parts(4_107_542_400), [2100, 3, 1, 0, 0, 0, 1]);
        assert_eq!(parts(1_735_603_200), [2024, 12, 31, 0, 0, 0, 2]);
        assert_eq!(parts(-1), [1969, 12, 31, 23, 59, 59, 3]);
        assert_eq!(RegKeyMetadata::default().get_last_write_time_system().wYear, 1601);
    }

    #[test]
    fn a_filetime_counts_from_1601() {
        let time = FileTime::of_nanoseconds(0);
        assert_eq!((time.dwHighDateTime, time.dwLowDateTime), (0x019D_B1DE, 0xD53E_8000));
        assert!(FileTime::of_nanoseconds(i64::MIN).dwHighDateTime > 0);
    }
}
