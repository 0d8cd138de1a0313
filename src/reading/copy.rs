//! Rows of `frame` in PostgreSQL's binary COPY format, written by hand: no text, no parameter
//! arrays, a few nanoseconds a value.

use crate::ids::AssetId;
use crate::reading::Block;

/// Microseconds between 1970, where our instants count from, and 2000, where PostgreSQL's do.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
const FLOAT8: i32 = 701;
const INT2: i32 = 21;
const ABSENT: i32 = -1;

/// All frames of the blocks, ready to be sent.
pub(super) fn encode<'a>(blocks: impl Iterator<Item = (AssetId, &'a Block)>, received_at: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * 1024);
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    // No flags, no header extension.
    int4(&mut out, 0);
    int4(&mut out, 0);
    for (asset, block) in blocks {
        out.reserve(block.len() * (88 + 12 * block.width()));
        for row in 0..block.len() {
            int2(&mut out, 5);
            int8_field(&mut out, asset.0);
            int8_field(&mut out, block.instants()[row] - POSTGRES_EPOCH);
            float8s(&mut out, block.values(row));
            match block.quality(row).filter(|quality| quality.iter().any(|&one| one != 0)) {
                Some(quality) => int2s(&mut out, quality),
                None => int4(&mut out, ABSENT),
            }
            int8_field(&mut out, received_at - POSTGRES_EPOCH);
        }
    }
    int2(&mut out, -1);
    out
}

fn float8s(out: &mut Vec<u8>, values: &[f64]) {
    let missing = values.iter().filter(|value| value.is_nan()).count();
    array(out, FLOAT8, values.len(), missing > 0, values.len() * 12 - missing * 8);
    for value in values {
        if value.is_nan() {
            int4(out, ABSENT);
        } else {
            let mut field = [0; 12];
            field[..4].copy_from_slice(&8_i32.to_be_bytes());
            field[4..].copy_from_slice(&value.to_be_bytes());
            out.extend_from_slice(&field);
        }
    }
}

fn int2s(out: &mut Vec<u8>, values: &[i16]) {
    array(out, INT2, values.len(), false, values.len() * 6);
    for value in values {
        int4(out, 2);
        int2(out, *value);
    }
}

/// The head of a one-dimensional array whose elements take `bytes`.
fn array(out: &mut Vec<u8>, element: i32, length: usize, has_null: bool, bytes: usize) {
    int4(out, (20 + bytes) as i32);
    int4(out, 1);
    int4(out, i32::from(has_null));
    int4(out, element);
    int4(out, length as i32);
    int4(out, 1);
}

fn int8_field(out: &mut Vec<u8>, value: i64) {
    int4(out, 8);
    out.extend_from_slice(&value.to_be_bytes());
}

fn int4(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn int2(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}
