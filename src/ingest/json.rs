//! JSON bodies, read in one pass without a tree.
//!
//! The visitors take any JSON and note what does not fit, so that an error of the parser always
//! means that the text is no JSON, and one bad item never spoils the others. Values that nobody
//! wants are read through the parser's depth guard.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::anything::{AnyScalar, Name, otherwise};
use super::fields::Building;
use super::item::{Base, Fault, Item, Parsed, Quality, Refusal, Scalar, Shape, Stamp};

/// Reads a document: an array of items, `{"readings": [..]}`, or one item.
pub(super) fn document(body: &[u8], limit: usize) -> Result<Parsed<'_>, Refusal> {
    let mut sink = Sink { limit, ..Sink::default() };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Top(&mut sink).deserialize(&mut reader).and_then(|()| reader.end());
    match (sink.refusal, read) {
        // What follows a refusal is not read, so it may be broken too: the refusal stands.
        (Some(refusal), _) => Err(refusal),
        (None, Err(_)) if body.starts_with(b"\xef\xbb\xbf") => {
            Err(Refusal::Syntax("the body begins with a byte order mark".to_owned()))
        }
        (None, Err(error)) => Err(Refusal::Syntax(error.to_string())),
        (None, Ok(())) => Ok(sink.parsed),
    }
}

/// Reads NDJSON: an item a line, of which `first` came before. A broken line is an item that is
/// refused.
pub(super) fn lines(body: &[u8], first: usize, limit: usize) -> Result<Parsed<'_>, Refusal> {
    let mut sink = Sink { limit, ..Sink::default() };
    for (index, line) in (first..).zip(body.split(|byte| *byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (items, cells) = (sink.parsed.items.len(), sink.parsed.cells.len());
        let mut reader = serde_json::Deserializer::from_slice(line);
        let seed = ItemSeed { sink: &mut sink, index, top: false };
        let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
        if let Some(refusal) = sink.refusal {
            return Err(refusal);
        }
        if let Err(error) = read {
            sink.parsed.items.truncate(items);
            sink.parsed.cells.truncate(cells);
            let reason = error.to_string();
            let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(reason, _)| reason);
            let detail = format!("line {} is not JSON: {reason} at column {}", index + 1, error.column());
            sink.refuse_item(index, Fault { syntax: true, ..Fault::new("", detail) });
        }
    }
    Ok(sink.parsed)
}

/// Where what is read goes.
#[derive(Default)]
pub(super) struct Sink<'a> {
    pub(super) parsed: Parsed<'a>,
    /// Readings in columns, which lie apart from the cells.
    pub(super) in_columns: usize,
    limit: usize,
    /// Ends the reading: set before the parser is told to stop.
    refusal: Option<Refusal>,
}

impl Sink<'_> {
    /// Stops the parser when there are too many readings.
    pub(super) fn check_limit<E: Error>(&mut self) -> Result<(), E> {
        if self.parsed.cells.len().max(self.parsed.items.len()) + self.in_columns > self.limit {
            self.refusal = Some(Refusal::TooMany);
            return Err(E::custom("too many readings"));
        }
        Ok(())
    }

    /// Stops the parser when there are more instants than readings may be.
    pub(super) fn check_stamps<E: Error>(&mut self, count: usize) -> Result<(), E> {
        if count > self.limit {
            self.refusal = Some(Refusal::TooMany);
            return Err(E::custom("too many instants"));
        }
        Ok(())
    }

    fn refuse<E: Error>(&mut self, pointer: &str, detail: &str) -> E {
        self.refusal = Some(Refusal::Form { pointer: pointer.to_owned(), detail: detail.to_owned() });
        E::custom("refused")
    }

    fn refuse_item(&mut self, index: usize, fault: Fault) {
        let end = self.parsed.cells.len();
        self.parsed.items.push(Item {
            index,
            shape: Shape::Frame,
            asset: None,
            at: Stamp::Missing,
            cells: end..end,
            quality: Quality::Good,
            columns: None,
            fault: Some(fault),
        });
    }
}

/// The whole document.
struct Top<'s, 'a>(&'s mut Sink<'a>);

impl<'a> DeserializeSeed<'a> for Top<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> Top<'_, 'a> {
    fn other<E: Error>(self, _: Scalar<'a>) -> Result<(), E> {
        Err(self.0.refuse("", "the body must be an array or an object"))
    }
}

impl<'a> Visitor<'a> for Top<'_, 'a> {
    type Value = ();
    otherwise!('a);

    fn visit_seq<A: SeqAccess<'a>>(self, items: A) -> Result<(), A::Error> {
        Items(self.0).visit_seq(items)
    }

    fn visit_map<A: MapAccess<'a>>(self, fields: A) -> Result<(), A::Error> {
        self.0.parsed.base = Base::Root;
        ItemSeed { sink: self.0, index: 0, top: true }.visit_map(fields)
    }
}

/// An array of items.
struct Items<'s, 'a>(&'s mut Sink<'a>);

impl<'a> DeserializeSeed<'a> for Items<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> Items<'_, 'a> {
    fn other<E: Error>(self, _: Scalar<'a>) -> Result<(), E> {
        Err(self.0.refuse("/readings", "must be an array"))
    }
}

impl<'a> Visitor<'a> for Items<'_, 'a> {
    type Value = ();
    otherwise!('a);

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while items.next_element_seed(ItemSeed { sink: self.0, index, top: false })?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, _: A) -> Result<(), A::Error> {
        self.other(Scalar::Object)
    }
}

/// One item.
struct ItemSeed<'s, 'a> {
    sink: &'s mut Sink<'a>,
    index: usize,
    /// Whether it is the whole document, which may be `{"readings": [..]}` instead.
    top: bool,
}

impl<'a> DeserializeSeed<'a> for ItemSeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> ItemSeed<'_, 'a> {
    #[expect(clippy::needless_pass_by_value, reason = "the signature that `otherwise` calls")]
    fn other<E: Error>(self, given: Scalar<'a>) -> Result<(), E> {
        self.sink.refuse_item(self.index, Fault::new("", format!("an item must be an object, not {}", given.name())));
        self.sink.check_limit()
    }
}

impl<'a> Visitor<'a> for ItemSeed<'_, 'a> {
    type Value = ();
    otherwise!('a);

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { sink, index, top } = self;
        let mut item = Building::begin(sink);
        while let Some(key) = fields.next_key_seed(Name)? {
            if top && key == "readings" {
                let lonely = item.is_empty();
                if lonely {
                    sink.parsed.base = Base::Readings;
                    fields.next_value_seed(Items(sink))?;
                }
                if !lonely || fields.next_key_seed(Name)?.is_some() {
                    return Err(sink.refuse("/readings", "appears twice or beside other fields"));
                }
                return Ok(());
            }
            item.field(sink, key, &mut fields)?;
            sink.check_limit()?;
        }
        let item = item.finish(sink, index);
        sink.parsed.items.push(item);
        sink.check_limit()
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(AnyScalar)?.is_some() {}
        self.other(Scalar::Array)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(body: &str) -> Item<'_> {
        document(body.as_bytes(), 100).expect("it is JSON").items.remove(0)
    }

    fn fault(body: &str) -> Option<(String, String)> {
        one(body).fault.map(|fault| (fault.under, fault.detail))
    }

    #[test]
    fn every_form_is_read() {
        let parsed = document(br#"[{"asset":"p","ts":1764000000000,"values":{"a":1,"b":true}}]"#, 100).expect("JSON");
        assert_eq!((parsed.base, parsed.cells.len(), parsed.items[0].shape), (Base::Index, 2, Shape::Frame));
        assert_eq!(parsed.items[0].at, Stamp::At(1_764_000_000_000_000));

        let parsed = document(br#"{"readings":[{"signal":"a","ts":"x","value":1}]}"#, 100).expect("JSON");
        assert_eq!((parsed.base, parsed.items[0].shape, parsed.cells.len()), (Base::Readings, Shape::Reading, 1));

        let parsed = document(br#"{"temp":3.1}"#, 100).expect("JSON");
        assert_eq!((parsed.base, parsed.items[0].shape, parsed.cells.len()), (Base::Root, Shape::Plain, 1));

        let columns =
            one(r#"{"timestamps":[1764000000000,2],"values":{"a":[1,null],"b":[]}}"#).columns.expect("columns");
        assert_eq!(columns.signals[0].1, [Scalar::Number(1.0), Scalar::Null]);
        assert!(document(b"[]", 100).expect("JSON").items.is_empty());
    }

    #[test]
    fn what_is_no_json_is_a_syntax_error() {
        for body in
            ["", "{", "NaN", "[1e999]", "[01]", "[.5]", "[1_000]", "[]x", "[] []", "{'a':1}", "// x", "[\"\\ud800\"]"]
        {
            assert!(matches!(document(body.as_bytes(), 100), Err(Refusal::Syntax(_))), "{body}");
        }
        let deep = format!(r#"[{{"x":{}{}}}]"#, "[".repeat(129), "]".repeat(129));
        assert!(matches!(document(deep.as_bytes(), 100), Err(Refusal::Syntax(_))));
    }

    #[test]
    fn what_does_not_fit_is_noted_where_it_is() {
        assert_eq!(fault("[[1]]").expect("array").1, "an item must be an object, not an array");
        assert_eq!(fault(r#"[{"ts":"x","ts":"y","values":{}}]"#).expect("twice").0, "/ts");
        assert_eq!(fault(r#"[{"values":[1]}]"#).expect("array").0, "/values");
        assert_eq!(fault(r#"[{"signal":"a","ts":"x"}]"#).expect("no value").0, "/value");
        assert_eq!(fault(r#"[{"ts":"x","values":{},"__proto__":{}}]"#).expect("unknown").0, "/__proto__");
        assert_eq!(fault(r#"[{"ts":"x","values":{"a":[1]}}]"#).expect("columns").0, "/timestamps");
        assert_eq!(fault("[{}]").expect("empty").0, "");
        assert!(matches!(document(br#"{"readings":[],"readings":[]}"#, 9), Err(Refusal::Form { .. })));
        assert!(matches!(document(br#"{"readings":{}}"#, 9), Err(Refusal::Form { .. })));
        assert!(matches!(document(b"5", 9), Err(Refusal::Form { .. })));
    }

    #[test]
    fn a_broken_line_spoils_no_other() {
        let body = b"{\"ts\":\"x\",\"values\":{\"a\":1}}\n{\"ts\":\"y\",\"values\":{\"b\":2,}}\n\n{\"a\":3}\r\n";
        let parsed = lines(body, 0, 100).expect("lines");
        assert_eq!(parsed.items.len(), 3);
        let fault = parsed.items[1].fault.clone().expect("broken");
        assert!(fault.syntax && fault.detail.starts_with("line 2 is not JSON: "), "{}", fault.detail);
        assert_eq!((parsed.items[2].index, parsed.cells.len()), (3, 2));
    }

    #[test]
    fn the_limit_ends_the_reading() {
        let body = format!("[{}]", [r#"{"a":1}"#; 11].join(","));
        assert_eq!(document(body.as_bytes(), 10), Err(Refusal::TooMany));
        assert!(document(body.as_bytes(), 11).is_ok());
        let body = r#"{"timestamps":[],"values":{"a":[1,2,3],"b":[1,2,3]}}"#;
        assert_eq!(document(body.as_bytes(), 5), Err(Refusal::TooMany));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(document(&body, 100));
            drop(lines(&body, 0, 100));
        }
    }
}
