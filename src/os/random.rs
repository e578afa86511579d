//! Random bits of the system: the one place that draws them.
//!
//! For keys, identities and names nobody else uses. The core takes a seed and draws nothing.

use crate::error::{Error, Result};

/// Fresh random bytes, good enough for keys.
///
/// # Errors
/// [`Error::Denied`] when the system has none to give; nothing is changed.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Denied(format!("The system provides no random numbers: {e}.")))?;
    Ok(bytes)
}

/// Fresh random bits for identities and openings.
///
/// # Errors
/// As [`random_bytes`].
pub fn random() -> Result<u128> {
    Ok(u128::from_le_bytes(random_bytes()?))
}
