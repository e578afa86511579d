//! Files of an older format become files of this one, in the transaction of whoever writes next.

use super::Failure;
use super::rows::RowsMut;
use super::seal::{FORMAT, SEAL_BYTES, Seals, seal};
use super::tables::{self, Name};
use crate::digest::Sum;

/// The tables whose rows are sealed.
const SEALED: [Name; 4] = [Name::Hints, Name::Bad, Name::Ring, Name::Meta];

/// Seals every row that is not, in the transaction of whoever writes next.
pub(super) fn upgrade(seals: Seals, rows: &mut impl RowsMut) -> Result<Seals, Failure> {
    if seals.are_there() {
        return Ok(seals);
    }
    for table in SEALED {
        let mut keys = Vec::new();
        tables::every(rows, table, &mut |key, _| keys.push(key.to_vec()))?;
        for key in keys {
            let Some(value) = rows.get(table, &key)?.map(<[u8]>::to_vec) else { continue };
            // What is rotten already must not be made good: it gets a seal that is wrong.
            let rotten = table == Name::Hints && tables::is_rotten_hint(&key, &value);
            let row = if rotten {
                [value, vec![0; SEAL_BYTES]].concat()
            } else {
                seal(table, &key, &value)
            };
            rows.put(table, &key, &row)?;
        }
    }
    let mut kept = Sum::default();
    tables::every(rows, Name::Hints, &mut |_, stored| kept.add(tables::kept(stored)))?;
    if kept != Sum::default() {
        rows.put(Name::Meta, tables::KEPT, &seal(Name::Meta, tables::KEPT, &kept.to_bytes()))?;
    }
    rows.put(Name::Meta, b"format", &seal(Name::Meta, b"format", &FORMAT.to_le_bytes()))?;
    Ok(Seals { sealed: true })
}
