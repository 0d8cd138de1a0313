//! What may be stored of a body, and what not and why. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::item::{Base, Cell, Columns, Item, Parsed, Quality, Scalar, Shape, Stamp, segment, shortened};
use super::receipt::Receipt;
use crate::asset::{Asset, Kind, OnInvalid, Signal};
use crate::reading::{Block, LARGEST_VALUE, QUALITY_BAD, QUALITY_GOOD, QUALITY_UNCERTAIN, Tally, Window};
use crate::web::problem;

/// The assets that a body names.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The asset of the path, which all items belong to.
    pub(super) scope: Option<Arc<Asset>>,
    /// Otherwise by key; absent where there is no such asset.
    pub(super) by_key: HashMap<String, Arc<Asset>>,
}

/// One asset's part of a request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) asset: Arc<Asset>,
    /// Sorted, one frame an instant.
    pub(super) block: Block,
    /// Readings that another reading of the same request took the place of.
    pub(super) swallowed: Tally,
    /// Index of its first item, for an error of the whole part.
    pub(super) first: usize,
    /// Item that set each signal last, to see names that appear twice.
    seen: Vec<usize>,
}

impl Part {
    /// Readings of the request that ended here.
    pub(super) fn received(&self) -> u64 {
        self.block.readings() + self.swallowed.updated + self.swallowed.duplicates
    }
}

type Why = (problem::Kind, String);

/// Sorts a body into what is stored and what is refused. The receipt counts only the refused.
pub(super) fn accept(parsed: &Parsed<'_>, known: &Known, window: Window, now: i64) -> (Vec<Part>, Receipt) {
    let mut accepting = Accepting {
        parsed,
        known,
        window,
        now,
        parts: Vec::new(),
        by_asset: HashMap::new(),
        receipt: Receipt::default(),
    };
    let mut last = None;
    for (serial, item) in parsed.items.iter().enumerate() {
        accepting.item(item, serial, &mut last);
    }
    for part in &mut accepting.parts {
        let swallowed = part.block.tidy();
        part.swallowed += swallowed;
    }
    accepting.parts.retain(|part| !part.block.is_empty());
    (accepting.parts, accepting.receipt)
}

struct Accepting<'p> {
    parsed: &'p Parsed<'p>,
    known: &'p Known,
    window: Window,
    now: i64,
    parts: Vec<Part>,
    by_asset: HashMap<i64, usize>,
    receipt: Receipt,
}

impl<'p> Accepting<'p> {
    /// `last` is the key and the part of the item before, which most often fit again.
    fn item(&mut self, item: &'p Item<'p>, serial: usize, last: &mut Option<(&'p str, usize)>) {
        let parsed = self.parsed;
        let cells = &parsed.cells[item.cells.clone()];
        let in_columns =
            item.columns.as_ref().map_or(0, |columns| columns.signals.iter().map(|(_, column)| column.len()).sum());
        let readings = (cells.len() + in_columns).max(1) as u64;
        if let Some(fault) = &item.fault {
            let kind = if fault.syntax { problem::INVALID_JSON } else { problem::MALFORMED_ITEM };
            let why = || (pointer(parsed.base, item.index, &fault.under), fault.detail.clone());
            return self.receipt.reject(readings, item.index, kind, why);
        }
        let part = match self.part(item, last) {
            Ok(part) => part,
            Err((kind, detail)) => {
                let under = if item.asset.is_some() || self.known.scope.is_none() { "/asset" } else { "" };
                return self
                    .receipt
                    .reject(readings, item.index, kind, || (pointer(parsed.base, item.index, under), detail));
            }
        };
        if let Some(columns) = &item.columns {
            return self.columns(item, columns, part);
        }
        let missing_is_now = item.shape == Shape::Plain;
        let at = match check_instant(&item.at, missing_is_now.then_some(self.now), self.window) {
            Ok(at) => at,
            Err((kind, detail)) => {
                return self
                    .receipt
                    .reject(readings, item.index, kind, || (pointer(parsed.base, item.index, "/ts"), detail));
            }
        };
        if cells.is_empty() {
            let why = || (pointer(parsed.base, item.index, "/values"), "holds no value".to_owned());
            return self.receipt.reject(1, item.index, problem::MALFORMED_ITEM, why);
        }

        let Part { asset, block, swallowed, seen, .. } = &mut self.parts[part];
        let signals = &asset.asset_type.document.signals;
        let on_invalid = asset.asset_type.document.on_invalid;
        let mut row = (block.last() == Some(at)).then(|| block.len() - 1);
        let mut hint = 0;
        for cell in cells {
            let taken = resolve(signals, &cell.signal, hint).and_then(|place| {
                hint = place + 1;
                if seen[place] == serial {
                    return Err((problem::MALFORMED_ITEM, "appears twice".to_owned()));
                }
                let quality = quality_of(&item.quality, &cell.signal)?;
                let (value, quality) = check(&signals[place], &cell.value, quality, on_invalid)?;
                Ok((place, value, quality))
            });
            match taken {
                Ok((place, value, quality)) => {
                    seen[place] = serial;
                    let row = *row.get_or_insert_with(|| block.push_empty(at));
                    let merged = block.merge(row, place, value, quality);
                    swallowed.updated += merged.updated;
                    swallowed.duplicates += merged.duplicates;
                }
                Err((kind, detail)) => self.receipt.reject(1, item.index, kind, || {
                    (pointer(parsed.base, item.index, &under_cell(item.shape, cell, kind)), detail)
                }),
            }
        }
    }

    fn columns(&mut self, item: &Item<'_>, columns: &Columns<'_>, part: usize) {
        let base = pointer(self.parsed.base, item.index, "");
        let Part { asset, block, swallowed, .. } = &mut self.parts[part];
        let signals = &asset.asset_type.document.signals;
        let on_invalid = asset.asset_type.document.on_invalid;
        // Rows whose instant is refused are refused once, not once a signal.
        let mut rows = Vec::with_capacity(columns.instants.len());
        let mut refused_rows = Vec::new();
        for (row, given) in columns.instants.iter().enumerate() {
            match check_instant(given, None, self.window) {
                Ok(at) => rows.push(Some(at)),
                Err(why) => {
                    rows.push(None);
                    refused_rows.push((row, why, 0_u64));
                }
            }
        }
        let start = block.len();
        let mut place_of = vec![usize::MAX; rows.len()];
        let mut next = start;
        for (row, at) in rows.iter().enumerate() {
            if let Some(at) = at {
                block.push_empty(*at);
                place_of[row] = next;
                next += 1;
            }
        }
        let mut seen = vec![false; signals.len()];
        let mut hint = 0;
        for (name, column) in &columns.signals {
            let under = format!("{base}/values/{}", segment(name));
            let mut whole = |kind, detail: String| {
                self.receipt.reject(column.len().max(1) as u64, item.index, kind, || (under.clone(), detail));
            };
            let place = match resolve(signals, name, hint) {
                Ok(place) => place,
                Err((kind, detail)) => {
                    whole(kind, detail);
                    continue;
                }
            };
            hint = place + 1;
            if std::mem::replace(&mut seen[place], true) {
                whole(problem::MALFORMED_ITEM, "appears twice".to_owned());
                continue;
            }
            if column.len() != rows.len() {
                let detail = format!("has {} values, `timestamps` has {}", column.len(), rows.len());
                whole(problem::MALFORMED_ITEM, detail);
                continue;
            }
            for (row, value) in column.iter().enumerate().filter(|(_, value)| **value != Scalar::Null) {
                if rows[row].is_none() {
                    if let Ok(found) = refused_rows.binary_search_by_key(&row, |(row, _, _)| *row) {
                        refused_rows[found].2 += 1;
                    }
                    continue;
                }
                let taken = quality_of(&item.quality, name)
                    .and_then(|quality| check(&signals[place], value, quality, on_invalid));
                match taken {
                    Ok((value, quality)) => {
                        let merged = block.merge(place_of[row], place, value, quality);
                        swallowed.updated += merged.updated;
                        swallowed.duplicates += merged.duplicates;
                    }
                    Err((kind, detail)) => {
                        self.receipt.reject(1, row, kind, || (format!("{under}/{row}"), detail));
                    }
                }
            }
        }
        for (row, (kind, detail), readings) in refused_rows {
            self.receipt.reject(readings.max(1), row, kind, || (format!("{base}/timestamps/{row}"), detail));
        }
        block.drop_empty(start);
    }

    /// The part that an item belongs to.
    fn part(&mut self, item: &'p Item<'p>, last: &mut Option<(&'p str, usize)>) -> Result<usize, Why> {
        let key = match (&item.asset, &self.known.scope) {
            (None, Some(_)) => "",
            (Some(Scalar::Text(key)), Some(scope)) if **key == *scope.key => "",
            (Some(Scalar::Text(_)), Some(scope)) => {
                return Err((problem::UNKNOWN_ASSET, format!("is not {}, whose readings these are", scope.key)));
            }
            (Some(Scalar::Text(key)), None) => key,
            (Some(other), _) => return Err((problem::WRONG_TYPE, format!("must be a text, not {}", other.name()))),
            (None, None) => return Err((problem::MALFORMED_ITEM, "is missing".to_owned())),
        };
        if let Some((_, part)) = last.filter(|(before, _)| *before == key) {
            return Ok(part);
        }
        let asset = match &self.known.scope {
            Some(scope) => Some(scope),
            None => self.known.by_key.get(key),
        };
        let asset = asset.ok_or_else(|| (problem::UNKNOWN_ASSET, format!("there is no asset {:?}", shortened(key))))?;
        let part = *self.by_asset.entry(asset.id.0).or_insert_with(|| {
            let width = asset.asset_type.document.signals.len();
            self.parts.push(Part {
                asset: asset.clone(),
                block: Block::new(width),
                swallowed: Tally::default(),
                first: item.index,
                seen: vec![usize::MAX; width],
            });
            self.parts.len() - 1
        });
        *last = Some((key, part));
        Ok(part)
    }
}

fn pointer(base: Base, index: usize, under: &str) -> String {
    match base {
        Base::Root => under.to_owned(),
        Base::Index => format!("/{index}{under}"),
        Base::Readings => format!("/readings/{index}{under}"),
    }
}

fn under_cell(shape: Shape, cell: &Cell<'_>, kind: problem::Kind) -> String {
    match shape {
        Shape::Frame => format!("/values/{}", segment(&cell.signal)),
        Shape::Plain => format!("/{}", segment(&cell.signal)),
        Shape::Reading if kind == problem::UNKNOWN_SIGNAL => "/signal".to_owned(),
        Shape::Reading => "/value".to_owned(),
    }
}

fn check_instant(given: &Stamp, if_missing: Option<i64>, window: Window) -> Result<i64, Why> {
    let at = match (given, if_missing) {
        (Stamp::At(at), _) => *at,
        (Stamp::Missing, Some(now)) => return Ok(now),
        (Stamp::Missing, None) => return Err((problem::INVALID_INSTANT, "is missing".to_owned())),
        (Stamp::Bad(error), _) => return Err((problem::INVALID_INSTANT, error.to_string())),
        (Stamp::Wrong(name), _) => {
            return Err((problem::INVALID_INSTANT, format!("must be RFC 3339 or epoch milliseconds, not {name}")));
        }
    };
    if at < window.oldest {
        let oldest = crate::reading::instant::text(crate::reading::instant::instant(window.oldest));
        return Err((problem::TOO_OLD, format!("lies before {oldest}, where what is kept begins")));
    }
    if at > window.newest {
        return Err((problem::TIMESTAMP_IN_FUTURE, "lies in the future, by more than clocks may differ".to_owned()));
    }
    Ok(at)
}

/// The place of a signal; most often it follows the one before.
fn resolve(signals: &[Signal], name: &str, hint: usize) -> Result<usize, Why> {
    if signals.get(hint).is_some_and(|signal| signal.name == name) {
        return Ok(hint);
    }
    signals
        .iter()
        .position(|signal| signal.name == name)
        .ok_or_else(|| (problem::UNKNOWN_SIGNAL, format!("the asset's type has no signal {:?}", shortened(name))))
}

fn quality_of(quality: &Quality<'_>, signal: &str) -> Result<i16, Why> {
    let given = match quality {
        Quality::Good => return Ok(QUALITY_GOOD),
        Quality::One(given) => given,
        Quality::Each(each) => match each.iter().find(|cell| cell.signal == signal) {
            Some(cell) => &cell.value,
            None => return Ok(QUALITY_GOOD),
        },
    };
    match given {
        Scalar::Text(text) if text == "good" => Ok(QUALITY_GOOD),
        Scalar::Text(text) if text == "uncertain" => Ok(QUALITY_UNCERTAIN),
        Scalar::Text(text) if text == "bad" => Ok(QUALITY_BAD),
        _ => Err((problem::WRONG_TYPE, "its quality must be good, uncertain or bad".to_owned())),
    }
}

fn check(signal: &Signal, given: &Scalar<'_>, quality: i16, on_invalid: OnInvalid) -> Result<(f64, i16), Why> {
    let value = match (&signal.kind, given) {
        (Kind::Number, Scalar::Number(value)) => *value,
        (Kind::Boolean, Scalar::Bool(value)) => f64::from(u8::from(*value)),
        (Kind::Boolean, Scalar::Number(value)) if *value == 0.0 || *value == 1.0 => *value,
        (Kind::Enum { labels }, Scalar::Text(label)) => match labels.iter().position(|known| known == label) {
            Some(place) => place as f64,
            None => {
                return Err((
                    problem::WRONG_TYPE,
                    format!("{:?} is none of the labels {}", shortened(label), labels.join(", ")),
                ));
            }
        },
        (Kind::Enum { labels }, Scalar::Number(place))
            if place.fract() == 0.0 && *place >= 0.0 && *place < labels.len() as f64 =>
        {
            *place
        }
        (kind, given) => {
            let wanted = match kind {
                Kind::Number => "a number",
                Kind::Boolean => "a boolean",
                Kind::Enum { .. } => "a label",
            };
            return Err((problem::WRONG_TYPE, format!("must be {wanted}, not {}", given.name())));
        }
    };
    if !value.is_finite() || value.abs() > LARGEST_VALUE {
        return Err((
            problem::OUT_OF_RANGE,
            format!("{value:e} is beyond what the server computes with, ±{LARGEST_VALUE:e}"),
        ));
    }
    let bound = match (signal.min, signal.max) {
        (Some(min), _) if value < min => format!("below the minimum {min}"),
        (_, Some(max)) if value > max => format!("above the maximum {max}"),
        _ => return Ok((value, quality)),
    };
    match on_invalid {
        OnInvalid::Warn => Ok((value, quality.max(QUALITY_UNCERTAIN))),
        OnInvalid::Refuse => {
            Err((problem::OUT_OF_RANGE, format!("{value:e} is {bound} {}", signal.unit).trim_end().to_owned()))
        }
    }
}
