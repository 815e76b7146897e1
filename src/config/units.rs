//! Values with their units: what may be written for a number, a size, a duration, an address. Each rule
//! turns what stood there into the value, or into the sentence that says what may stand there.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use super::Secret;
use super::error::Place;
use super::written::Written;
use crate::hub::selector::Selector;
use crate::network::{Network, NetworkError};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// A whole number within `range`.
pub(super) fn count(range: RangeInclusive<u64>) -> impl Fn(&Written) -> Result<usize, String> {
    move |written| {
        let number = written
            .number()
            .and_then(|number| u64::try_from(number).ok());
        number
            .filter(|number| range.contains(number))
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                written.but_expected(format_args!("a whole number from {least} to {most}"))
            })
    }
}

/// `"auto"`, which is `None`, or a whole number within `range`, which does not contain 0.
pub(super) fn auto_or_count(
    range: RangeInclusive<u64>,
) -> impl Fn(&Written) -> Result<Option<NonZeroUsize>, String> {
    let count = count(range.clone());
    move |written| {
        if written.text() == Some("auto") {
            return Ok(None);
        }
        let number = count(written).ok().and_then(NonZeroUsize::new);
        number.map(Some).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            written.but_expected(format_args!(
                "\"auto\" or a whole number from {least} to {most}"
            ))
        })
    }
}

/// `true` or `false`.
pub(super) fn switch(written: &Written) -> Result<bool, String> {
    let switch = written.switch();
    switch.ok_or_else(|| written.but_expected("true or false"))
}

/// `"auto"`, which is `None`, or `true` or `false`.
pub(super) fn auto_or_switch(written: &Written) -> Result<Option<bool>, String> {
    match (written.text(), written.switch()) {
        (Some("auto"), _) => Ok(None),
        (_, Some(switch)) => Ok(Some(switch)),
        _ => Err(written.but_expected("true, false or \"auto\"")),
    }
}

/// A number of bytes within `range`, written with its unit: `"64 KiB"`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&Written) -> Result<usize, String> {
    move |written| {
        let expected = || {
            let (least, most) = (*range.start(), *range.end());
            let example = shown_size((64 * KIB).clamp(least, most));
            let (least, most) = (shown_size(least), shown_size(most));
            format!("a size from {least} to {most}, such as \"{example}\"")
        };
        if written.is_bare_number() {
            return Err(written.but_expected(format_args!(
                "{}, with its unit (B, KiB, MiB, GiB)",
                expected()
            )));
        }
        written
            .text()
            .and_then(|text| text.parse::<ByteSize>().ok())
            .filter(|size| range.contains(&size.as_u64()))
            .and_then(|size| usize::try_from(size.as_u64()).ok())
            .ok_or_else(|| written.but_expected(expected()))
    }
}

/// `"auto"`, which is `None`, or a number of bytes within `range`, written with its unit.
pub(super) fn auto_or_size(
    range: RangeInclusive<u64>,
) -> impl Fn(&Written) -> Result<Option<usize>, String> {
    let size = size(range);
    move |written| match written.text() {
        Some("auto") => Ok(None),
        _ => size(written)
            .map(Some)
            .map_err(|message| message.replacen("expected ", "expected \"auto\" or ", 1)),
    }
}

/// An IP address, or the first of a network with the length of its prefix.
pub(super) fn network(written: &Written) -> Result<Network, String> {
    let expected = "an IP address or a network, such as \"10.0.0.0/8\" or \"fd00::/8\"";
    let text = written
        .text()
        .ok_or_else(|| written.but_expected(expected))?;
    text.parse().map_err(|error| match error {
        NetworkError::Malformed => written.but_expected(expected),
        NetworkError::HostBits(meant) => written.but_expected(format_args!(
            "{expected}; the network of this address is \"{meant}\""
        )),
    })
}

/// A length of time within `range`, written with its unit: `"1m 30s"`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Written) -> Result<Duration, String> {
    move |written| {
        let expected = || {
            let (least, most) = (*range.start(), *range.end());
            let example = Duration::from_secs(15).clamp(least, most);
            let show = humantime::format_duration;
            let (least, most, example) = (show(least), show(most), show(example));
            format!("a duration from {least} to {most}, such as \"{example}\"")
        };
        if written.is_bare_number() {
            return Err(written.but_expected(format_args!(
                "{}, with its unit (ms, s, m, h, d)",
                expected()
            )));
        }
        written
            .text()
            .and_then(|text| humantime::parse_duration(text).ok())
            .filter(|duration| range.contains(duration))
            .ok_or_else(|| written.but_expected(expected()))
    }
}

/// An IP address with a port, or `"off"`, which is `None`.
pub(super) fn address_or_off(written: &Written) -> Result<Option<SocketAddr>, String> {
    match written.text() {
        Some("off") => Ok(None),
        text => text
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| {
                written.but_expected(
                    "\"off\", or an IP address and a port, such as \"127.0.0.1:8081\" (this machine only)",
                )
            }),
    }
}

/// A secret. What stood there is not told: messages end up in logs.
pub(super) fn secret(written: &Written) -> Result<Secret, String> {
    written.text().and_then(Secret::new).ok_or_else(|| {
        "expected a secret of 16 to 256 letters, digits and signs, without spaces".to_owned()
    })
}

/// A path as a file has it, which is relative to that file; one from the environment is relative to where the
/// process was started, and comes back absolute.
pub(super) fn path(written: &Written) -> Result<PathBuf, String> {
    // No system takes a path with a NUL.
    let text = written
        .text()
        .filter(|text| !text.is_empty() && !text.contains('\0'))
        .ok_or_else(|| written.but_expected("a path, such as \"/var/lib/fourcast\""))?;
    match written.place {
        Place::Variable(_) => std::path::absolute(text)
            .map_err(|error| format!("{text:?} has no absolute path: {error}")),
        _ => Ok(PathBuf::from(text)),
    }
}

/// A channel or a pattern of channels.
pub(super) fn selector(written: &Written) -> Result<Selector, String> {
    let example = "a channel or a pattern, such as \"rooms/*\" or \"sensors/**\"";
    let text = written
        .text()
        .ok_or_else(|| written.but_expected(example))?;
    text.parse()
        .map_err(|error| written.but_expected(format_args!("{example}: {error}")))
}

/// One subprotocol of WebSocket: a token (RFC 6455, section 4.1; RFC 9110, section 5.6.2).
pub(super) fn token(written: &Written) -> Result<String, String> {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    written
        .text()
        .filter(|text| !text.is_empty() && text.bytes().all(is_tchar))
        .map(str::to_owned)
        .ok_or_else(|| written.but_expected("a token without spaces or commas, such as \"chat\""))
}

/// A log filter: a level, or several parts with commas, each a level or `module=level`.
pub(super) fn log_filter(written: &Written) -> Result<String, String> {
    let is_level = |level: &str| level.parse::<log::LevelFilter>().is_ok();
    let is_module = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_:".contains(&b);
        !name.is_empty() && name.bytes().all(allowed)
    };
    let is_part = |part: &str| match part.trim().split_once('=') {
        Some((module, level)) => is_module(module) && is_level(level),
        None => is_level(part.trim()),
    };
    written
        .text()
        .filter(|text| text.split(',').all(is_part))
        .map(str::to_owned)
        .ok_or_else(|| {
            written.but_expected(
                "off, error, warn, info, debug or trace, perhaps with modules: \
                 \"warn,fourcast::hub=debug\"",
            )
        })
}

/// The bounds of sizes are powers of two, so the largest unit that divides them says them exactly.
pub(super) fn shown_size(bytes: u64) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    let unit = units
        .iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    match unit {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}
