//! What the kernel tells of a process in `/proc/PID/stat`.

use std::fmt::Display;

/// The fields of a process, or of `self`, from one of them on, counted from 1 as in proc(5); nothing if it is gone, or one of them is no number.
pub(super) fn stat_fields<const N: usize>(process: impl Display, first: usize) -> Option<[u64; N]> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything. What follows it begins with the third field.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(first.checked_sub(3)?);
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = fields.next()?.parse().ok()?;
    }
    Some(numbers)
}
