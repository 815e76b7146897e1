//! What commands that put load on a server read from their command lines.

use std::time::Duration;

use crate::cli::remote;

/// Reads a time that is no longer than `longest`.
pub(in crate::cli) fn at_most(longest: Duration, text: &str) -> Result<Duration, String> {
    let time = remote::duration(text)?;
    match time <= longest {
        true => Ok(time),
        false => Err(format!("at most {}", humantime::format_duration(longest))),
    }
}

/// Reads a number within bounds.
pub(in crate::cli) fn count(
    least: u64,
    most: u64,
) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser as _;
    clap::value_parser!(u64)
        .range(least..=most)
        .try_map(usize::try_from)
}
