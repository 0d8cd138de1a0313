//! What strict reading refuses, and where it points.

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Plant {
    name: String,
    #[serde(default)]
    tanks: Vec<Tank>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Tank {
    level: Option<f64>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Open,
    Shut,
}

fn fault(text: &str) -> (String, String) {
    match read::<Plant>(text.as_bytes()) {
        Err(JsonError::Shape(fault)) => (fault.pointer(), fault.detail),
        other => panic!("{text} gave {other:?}"),
    }
}

#[test]
fn a_document_that_fits_is_read() {
    let plant: Plant = read(br#"{"name":"a","tanks":[{"level":1},{"level":null,"mode":"shut"}]}"#).unwrap();
    assert_eq!(plant.tanks[0], Tank { level: Some(1.0), mode: Mode::Open });
    assert_eq!(plant.tanks[1], Tank { level: None, mode: Mode::Shut });
}

#[test]
fn what_is_not_json_is_a_syntax_error() {
    let deep = "[".repeat(100_000);
    let nested = format!("{}{}", "[".repeat(129), "]".repeat(129));
    let texts: &[&[u8]] = &[
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"\"\xc0\xaf\"",
        br#""\ud800""#,
        b"{} {}",
        b"// x\n{}",
        b"{'a':1}",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"01",
        b".5",
        b"1_000",
        b"[1,]",
        deep.as_bytes(),
        nested.as_bytes(),
    ];
    for text in texts {
        let start = String::from_utf8_lossy(&text[..text.len().min(20)]).into_owned();
        assert!(matches!(parse(text), Err(JsonError::Syntax(_))), "{start} was not refused");
    }
}

#[test]
fn a_fault_points_to_its_value() {
    assert_eq!(fault(r#"{"name":"a","tanks":[{"level":1},{"level":"x"}]}"#).0, "/tanks/1/level");
    assert_eq!(fault(r#"{"name":"a","tanks":[{"mode":"ajar"}]}"#).0, "/tanks/0/mode");
    assert_eq!(fault(r#"{"name":null}"#), ("/name".to_owned(), "invalid type: null, expected a string".to_owned()));
    assert_eq!(fault("{}"), ("/name".to_owned(), "is missing".to_owned()));
    assert_eq!(fault(r#"{"name":"a","a/b~c":1}"#).0, "/a~1b~0c");
    assert_eq!(fault(r#"{"name":"a","__proto__":{}}"#).0, "/__proto__");
}

#[test]
fn an_array_is_not_an_object() {
    assert_eq!(fault(r#"["a",[]]"#), (String::new(), "invalid type: an array, expected an object".to_owned()));
    assert_eq!(fault(r#"{"name":"a","tanks":[[1.0,"open"]]}"#).0, "/tanks/0");
}

#[test]
fn duplicate_keys_and_nul_are_refused_wherever_they_are() {
    assert_eq!(fault(r#"{"name":"a","name":"b"}"#), ("/name".to_owned(), "appears twice".to_owned()));
    assert_eq!(fault(r#"{"name":"a","tanks":[{"x":{"y":1,"y":1}}]}"#).0, "/tanks/0/x/y");
    assert_eq!(fault(r#"{"name":"a\u0000"}"#).0, "/name");
    assert_eq!(fault(r#"{"na\u0000me":"a"}"#).0, "");
}
