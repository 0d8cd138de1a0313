//! CSV bodies: an instant and one column a signal, or one reading a row.
//!
//! `observed_at,temp,level` (with an `asset` column where many assets may come), or
//! `observed_at,signal,value` (with `asset`, `quality`). Empty cells are missing values.

use std::borrow::Cow;
use std::collections::HashMap;

use super::item::{Cell, Fault, Item, Parsed, Quality, Refusal, Scalar, Shape, Stamp, shortened};
use crate::reading::instant;

/// Names of the column with the instant, unless the caller says which.
const TIME_NAMES: &[&str] = &["ts", "observed_at", "timestamp", "time", "datetime", "date"];

/// How a CSV text is to be read.
#[derive(Clone, Debug, Default)]
pub struct CsvOptions {
    /// Name of the column with the instant.
    pub time: Option<String>,
    /// Signals by column; without it columns are named as signals are. Others are left out.
    pub columns: Option<HashMap<String, String>>,
    /// Instant of the first row and microseconds between rows, for texts without a time column.
    pub clock: Option<(i64, i64)>,
}

/// What the first line says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    delimiter: u8,
    width: usize,
    time: Time,
    asset: Option<usize>,
    layout: Layout,
    /// Bytes until the first row.
    pub(super) length: usize,
}

#[derive(Clone, Copy, Debug)]
enum Time {
    Column(usize),
    Clock { start: i64, step: i64 },
}

#[derive(Clone, Debug)]
enum Layout {
    /// Column and signal.
    Wide(Vec<(usize, String)>),
    Long {
        signal: usize,
        value: usize,
        quality: Option<usize>,
    },
}

impl Header {
    /// Reads the first line. `scoped`: the asset is known, so no column names it.
    pub(super) fn read(body: &[u8], options: &CsvOptions, scoped: bool) -> Result<Self, Refusal> {
        let (mark, text) = match body.strip_prefix(b"\xef\xbb\xbf") {
            // Spreadsheets write a byte order mark.
            Some(text) => (3, text),
            None => (0, body),
        };
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let delimiter = [b',', b';', b'\t'].into_iter().find(|byte| line.contains(byte)).unwrap_or(b',');
        let mut reader = reader(text, delimiter);
        let mut record = csv::ByteRecord::new();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => {
                return Err(Refusal::Syntax("the body is empty; its first line must name the columns".to_owned()));
            }
            Err(error) => return Err(Refusal::Syntax(format!("the first line is not CSV: {error}"))),
        }
        let names: Option<Vec<String>> =
            record.iter().map(|name| std::str::from_utf8(name).ok().map(|name| name.trim().to_owned())).collect();
        let names = names.ok_or_else(|| Refusal::Syntax("the first line is not UTF-8".to_owned()))?;
        for (place, name) in names.iter().enumerate() {
            if !name.is_empty() && names[..place].contains(name) {
                return Err(form(name, "names two columns"));
            }
        }

        let find = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        let time = match (&options.time, options.clock) {
            (Some(name), _) => {
                Time::Column(names.iter().position(|known| known == name).ok_or_else(|| form(name, "is no column"))?)
            }
            (None, Some((start, step))) => Time::Clock { start, step },
            (None, None) => Time::Column(TIME_NAMES.iter().find_map(|name| find(name)).ok_or_else(|| {
                form(
                    "",
                    "no column holds the instant: name it ts, observed_at, timestamp or time, or say which with `time`",
                )
            })?),
        };
        let asset = find("asset");
        if asset.is_none() && !scoped {
            return Err(form("asset", "is missing: no column names the asset"));
        }
        let layout = match (find("signal"), find("value")) {
            (Some(signal), Some(value)) => Layout::Long { signal, value, quality: find("quality") },
            _ => {
                let taken = |place: usize| matches!(time, Time::Column(time) if time == place) || asset == Some(place);
                let free = names.iter().enumerate().filter(|(place, name)| !taken(*place) && !name.is_empty());
                Layout::Wide(match &options.columns {
                    Some(map) => {
                        if let Some(unknown) = map.keys().find(|column| !names.contains(column)) {
                            return Err(form(unknown, "is no column"));
                        }
                        free.filter_map(|(place, name)| Some((place, map.get(name)?.clone()))).collect()
                    }
                    None => free.map(|(place, name)| (place, name.clone())).collect(),
                })
            }
        };
        let length = mark + usize::try_from(reader.position().byte()).unwrap_or_default();
        Ok(Self { delimiter, width: names.len(), time, asset, layout, length })
    }

    /// Reads rows, the first of which is row `first` of the whole text; also says how many there are.
    pub(super) fn rows(&self, rows: &[u8], first: usize, limit: usize) -> Result<(Parsed<'_>, usize), Refusal> {
        let mut parsed = Parsed::default();
        let mut reader = reader(rows, self.delimiter);
        let mut record = csv::ByteRecord::new();
        let mut index = first;
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok((parsed, index - first)),
                Err(error) => return Err(Refusal::Syntax(format!("row {} is not CSV: {error}", index + 1))),
            }
            self.row(&mut parsed, &record, index);
            index += 1;
            if parsed.cells.len().max(parsed.items.len()) > limit {
                return Err(Refusal::TooMany);
            }
        }
    }

    fn row<'a>(&'a self, parsed: &mut Parsed<'a>, record: &csv::ByteRecord, index: usize) {
        let start = parsed.cells.len();
        let mut fault = (record.len() != self.width).then(|| {
            let detail = format!("row {} has {} fields, the first line {}", index + 1, record.len(), self.width);
            Fault::new("", detail)
        });
        let mut text = |place: usize| match std::str::from_utf8(record.get(place).unwrap_or_default()) {
            Ok(text) => text.trim(),
            Err(_) => {
                fault.get_or_insert_with(|| Fault::new("", format!("row {} is not UTF-8", index + 1)));
                ""
            }
        };
        let at = match self.time {
            Time::Column(place) => stamp(text(place)),
            Time::Clock { start, step } => {
                let step = i64::try_from(index).ok().and_then(|rows| rows.checked_mul(step));
                step.and_then(|step| start.checked_add(step)).map_or(Stamp::Missing, Stamp::At)
            }
        };
        let asset = self.asset.map(|place| Scalar::Text(Cow::Owned(text(place).to_owned())));
        let mut quality = Quality::Good;
        match &self.layout {
            Layout::Wide(signals) => {
                for (place, signal) in signals {
                    let cell = text(*place);
                    if !cell.is_empty() {
                        parsed.cells.push(Cell { signal: Cow::Borrowed(signal), value: scalar(cell) });
                    }
                }
            }
            Layout::Long { signal, value, quality: place } => {
                let signal = Cow::Owned(text(*signal).to_owned());
                let given = text(*value);
                // A row that is there must say something.
                let value = if given.is_empty() { Scalar::Null } else { scalar(given) };
                parsed.cells.push(Cell { signal, value });
                if let Some(place) = place.filter(|place| record.get(*place).is_some_and(|text| !text.is_empty())) {
                    quality = Quality::One(Scalar::Text(Cow::Owned(text(place).to_owned())));
                }
            }
        }
        // A line without any value says nothing; spreadsheets leave such lines behind.
        if parsed.cells.len() == start && fault.is_none() {
            return;
        }
        let shape = if matches!(self.layout, Layout::Wide(_)) { Shape::Plain } else { Shape::Reading };
        let cells = start..parsed.cells.len();
        parsed.items.push(Item { index, shape, asset, at, cells, quality, columns: None, fault });
    }
}

fn reader(text: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text)
}

fn form(pointer: &str, detail: &str) -> Refusal {
    let pointer = if pointer.is_empty() { String::new() } else { format!("/{}", shortened(pointer)) };
    Refusal::Form { pointer, detail: detail.to_owned() }
}

/// An instant: RFC 3339, or epoch milliseconds in digits.
fn stamp(text: &str) -> Stamp {
    if text.is_empty() {
        return Stamp::Missing;
    }
    let read = match number(text) {
        Some(milliseconds) => instant::from_epoch_ms(milliseconds),
        None => instant::parse(text),
    };
    read.map_or_else(Stamp::Bad, Stamp::At)
}

fn scalar(text: &str) -> Scalar<'static> {
    match number(text) {
        Some(number) => Scalar::Number(number),
        None if text.eq_ignore_ascii_case("true") => Scalar::Bool(true),
        None if text.eq_ignore_ascii_case("false") => Scalar::Bool(false),
        None => Scalar::Text(Cow::Owned(text.to_owned())),
    }
}

/// A finite decimal number; Rust's reading of `inf` and `nan` is not wanted.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, scoped: bool) -> Result<(Header, &[u8]), Refusal> {
        let header = Header::read(text.as_bytes(), &CsvOptions::default(), scoped)?;
        let rows = &text.as_bytes()[header.length..];
        Ok((header, rows))
    }

    #[test]
    fn one_column_a_signal() {
        let (header, rows) =
            read("\u{feff}ts;temp;\"on\"\r\n2026-11-24 08:00:00Z;3.5;true\r\n1764000000000;;false\n;;\n", true)
                .expect("CSV");
        let parsed = header.rows(rows, 0, 100).expect("rows").0;
        assert_eq!(parsed.items.len(), 2, "the empty line is nothing");
        let values: Vec<&Scalar<'_>> = parsed.cells.iter().map(|cell| &cell.value).collect();
        assert_eq!(values, [&Scalar::Number(3.5), &Scalar::Bool(true), &Scalar::Bool(false)]);
        assert_eq!(parsed.items[1].at, Stamp::At(1_764_000_000_000_000));
    }

    #[test]
    fn one_reading_a_row() {
        let (header, rows) = read("asset,ts,signal,value,quality\np,x,temp,nan,bad\n", false).expect("CSV");
        let parsed = header.rows(rows, 0, 100).expect("rows").0;
        assert_eq!(parsed.cells[0], Cell { signal: "temp".into(), value: Scalar::Text("nan".into()) });
        assert_eq!(parsed.items[0].quality, Quality::One(Scalar::Text("bad".into())));
    }

    #[test]
    fn columns_may_be_renamed_and_instants_counted() {
        let options = CsvOptions {
            columns: Some(HashMap::from([("uEst".to_owned(), "pump".to_owned())])),
            clock: Some((1_000_000, 4_000_000)),
            ..CsvOptions::default()
        };
        let body = b"\"uEst\",\"Ts\",\n3.2,4,\n3.3,,\n";
        let header = Header::read(body, &options, true).expect("CSV");
        let parsed = header.rows(&body[header.length..], 10, 100).expect("rows").0;
        assert_eq!(parsed.cells.len(), 2);
        assert_eq!((&*parsed.cells[0].signal, &parsed.items[1].at), ("pump", &Stamp::At(45_000_000)));
    }

    #[test]
    fn headers_that_say_too_little_are_refused() {
        for (text, scoped) in [("", true), ("a,b\n", true), ("ts,a\n", false), ("ts,a,a\n", true)] {
            assert!(read(text, scoped).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn ragged_rows_are_refused_by_themselves() {
        let (header, rows) = read("ts,a,b\nx,1\ny,1,2\n", true).expect("CSV");
        let parsed = header.rows(rows, 0, 100).expect("rows").0;
        assert!(parsed.items[0].fault.is_some() && parsed.items[1].fault.is_none());
    }
}
