//! Times, sizes and shares as people write them, the same in files and on the command line.
//!
//! ```text
//! 5s  1m 30s  90          a time; a bare number is seconds
//! 50GiB  512 MiB  1.5GB   a size; a bare number is bytes
//! 80%                     a share, here 0.8
//! 10.0.0.1:7101           an address; [::1]:7101 of IPv6
//! ```
//!
//! It does not know what a value is for. Caveat: `50G` is refused, since nobody can tell which giga.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A time like `5s`, `1m 30s`, or bare seconds.
///
/// # Errors
/// What is wrong with it, and what to say.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    humantime::parse_duration(text).map_err(|e| format!("{e}; use 5s, 90s, 1m or 1h 30m"))
}

/// An address like `10.0.0.1:7101`, `[::1]:7101` or `db1.example.org:7101`, of something that listens.
/// Whether this machine has it is found out when something does.
///
/// # Errors
/// What is wrong with it, and what to say.
pub fn address(text: &str) -> Result<(String, u16), String> {
    let wrong =
        |why: &str| format!("{text:?} {why}; use HOST:PORT, with [ ] around an IPv6 address");
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("has no port"))?;
    let port = port.parse().map_err(|_| wrong("has no port from 0 to 65535"))?;
    let six = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let label = |l: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&l.len()) && l.bytes().all(plain)
    };
    let is_host = match six {
        Some(six) => six.parse::<Ipv6Addr>().is_ok(),
        None => host.len() <= 253 && host.split('.').all(label),
    };
    // What looks like numbers only is an address, or a mistake.
    let numbers = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_host || numbers && host.parse::<Ipv4Addr>().is_err() {
        return Err(wrong("names no host"));
    }
    Ok((host.to_owned(), port))
}

/// A size like `50GiB`, or bare bytes.
///
/// # Errors
/// What is wrong with it, and what to say.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; use 512MiB, 50GiB, 1.5TB, or bytes");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let one: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(one).ok_or_else(wrong);
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * one as f64;
    if bytes.fract() != 0.0 && one == 1 || bytes >= u64::MAX as f64 {
        return Err(wrong());
    }
    Ok(bytes as u64)
}

/// A share like `80%`, above 0 and at most 1.
///
/// # Errors
/// What is wrong with it, and what to say.
pub fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|n| n.trim_end().parse::<f64>().ok());
    match number {
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => {
            Err(format!("{text:?} is not a share; use a percentage, more than 0% and at most 100%"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sizes_and_shares_are_what_people_mean() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(size("50GiB"), Ok(50 << 30));
        assert_eq!(size("512 MiB"), Ok(512 << 20));
        assert_eq!(size("1.5GB"), Ok(1_500_000_000));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(share("80%"), Ok(0.8));
        assert_eq!(share("100%"), Ok(1.0));
    }

    #[test]
    fn what_can_be_read_two_ways_is_refused() {
        for text in ["", "-1", "soon", "1.5", "99999999999999999999y"] {
            assert!(duration(text).is_err(), "{text}");
        }
        let sizes =
            ["", "GiB", "50G", "50gib", "1.5", "-1", "1e3", "17179869184GiB", "..", "1.2.3"];
        for text in sizes {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "80", "0.8", "0%", "-5%", "101%", "NaN%", "inf%", "%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_names_a_host_and_a_port() {
        for (text, host, port) in [
            ("127.0.0.1:7101", "127.0.0.1", 7_101),
            ("[::1]:0", "[::1]", 0),
            ("db-1.example.org:65535", "db-1.example.org", 65_535),
        ] {
            assert_eq!(address(text), Ok((host.to_owned(), port)));
        }
        for bad in [
            "",
            "host",
            ":80",
            "host:",
            "host:65536",
            "::1:80",
            "[::1:80",
            "a b:80",
            "1.2.3:80",
            "x..y:1",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
