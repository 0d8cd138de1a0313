//! Arguments of the command line, and what is said of a refusal.

use serde_json::{Value, json};

use crate::access::Secret;

/// One override.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    op: &'static str,
    signal: String,
    value: Option<f64>,
    from: Option<usize>,
    to: Option<usize>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    signal: String,
    upper: bool,
    value: f64,
}

impl Change {
    pub(super) fn json(&self, assume: bool) -> Value {
        let Self { op, signal, value, from, to } = self;
        let mut change = json!({"signal": signal, "op": op, "assume": assume});
        for (name, member) in [("value", json!(value)), ("from", json!(from)), ("to", json!(to))] {
            if !member.is_null() {
                change[name] = member;
            }
        }
        change
    }
}

impl Limit {
    pub(super) fn json(&self, probability: f64) -> Value {
        let side = if self.upper { "max" } else { "min" };
        json!({"signal": self.signal, side: self.value, "probability": probability})
    }
}

pub(super) fn set(text: &str) -> Result<Change, String> {
    spanned("set", text)
}

pub(super) fn add(text: &str) -> Result<Change, String> {
    spanned("add", text)
}

pub(super) fn multiply(text: &str) -> Result<Change, String> {
    spanned("multiply", text)
}

/// `valve=0.9@10`, or `valve=0.9@5..15`.
pub(super) fn ramp(text: &str) -> Result<Change, String> {
    let (rest, steps) = text.rsplit_once('@').ok_or("say after how many steps: SIGNAL=VALUE@STEPS")?;
    if steps.contains("..") {
        return spanned("ramp", text);
    }
    let (signal, value) = assigned(rest)?;
    let to = steps.parse::<usize>().ok().filter(|steps| *steps > 0);
    let to = to.ok_or_else(|| format!("{steps} is not a number of steps"))?;
    Ok(Change { op: "ramp", signal, value: Some(value), from: None, to: Some(to) })
}

/// `pump`, or `pump@5..15`.
pub(super) fn hold(text: &str) -> Result<Change, String> {
    let (signal, (from, to)) = span(text)?;
    if signal.is_empty() || signal.contains('=') {
        return Err("name a signal, without a value".to_owned());
    }
    Ok(Change { op: "hold", signal: signal.to_owned(), value: None, from, to })
}

/// `level<9.5` or `level>1`; with `<=` and `>=` it is the same.
pub(super) fn limit(text: &str) -> Result<Limit, String> {
    let place = text.find(['<', '>']).ok_or("write SIGNAL<VALUE or SIGNAL>VALUE")?;
    let (signal, rest) = text.split_at(place);
    let upper = rest.starts_with('<');
    let value = rest[1..].strip_prefix('=').unwrap_or(&rest[1..]);
    let signal = signal.trim().to_owned();
    if signal.is_empty() {
        return Err("there is no signal before the sign".to_owned());
    }
    Ok(Limit { signal, upper, value: number(value)? })
}

fn spanned(op: &'static str, text: &str) -> Result<Change, String> {
    let (rest, (from, to)) = span(text)?;
    let (signal, value) = assigned(rest)?;
    Ok(Change { op, signal, value: Some(value), from, to })
}

fn assigned(text: &str) -> Result<(String, f64), String> {
    let (signal, value) = text.split_once('=').ok_or("write SIGNAL=VALUE")?;
    if signal.is_empty() {
        return Err("there is no signal before the =".to_owned());
    }
    Ok((signal.to_owned(), number(value)?))
}

/// First step and step after the last, where they are said.
type Span = (Option<usize>, Option<usize>);

/// What stands before `@FROM..TO`, and the span.
fn span(text: &str) -> Result<(&str, Span), String> {
    let Some((rest, span)) = text.rsplit_once('@') else { return Ok((text, (None, None))) };
    let (from, to) = span.split_once("..").ok_or_else(|| format!("{span} is not a span of steps FROM..TO"))?;
    let step = |text: &str| match text {
        "" => Ok(None),
        text => text.parse::<usize>().map(Some).map_err(|_| format!("{text} is not a step")),
    };
    Ok((rest, (step(from)?, step(to)?)))
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{text} is not a finite number"))
}

/// A key as a part of a path.
pub(super) fn escaped(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    key.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A key from the command line or the environment. What is wrong is not repeated.
pub(super) fn key(text: &str) -> Result<Secret, String> {
    Secret::read(text.trim()).ok_or_else(|| "is no key of a counterpart server: those begin with cpk_".to_owned())
}

/// A problem of the server in words; none when it is no problem document.
pub(super) fn refusal(status: u16, body: &[u8]) -> Option<String> {
    let problem: Value = serde_json::from_slice(body).ok()?;
    let title = problem["title"].as_str()?;
    let mut text = format!("the server refused ({status}): {title}");
    if let Some(detail) = problem["detail"].as_str() {
        text.extend([": ", detail]);
    }
    for error in problem["errors"].as_array().into_iter().flatten() {
        let said = |member: &str| error[member].as_str().unwrap_or_default();
        text.extend(["\n  ", said("pointer"), ": ", said("detail")]);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_read() {
        let of = |op, value, from, to| Change { op, signal: "pump".to_owned(), value, from, to };
        assert_eq!(set("pump=0.5").unwrap(), of("set", Some(0.5), None, None));
        assert_eq!(set("pump=-1e2@3..").unwrap(), of("set", Some(-100.0), Some(3), None));
        assert_eq!(add("pump=1@3..9").unwrap(), of("add", Some(1.0), Some(3), Some(9)));
        assert_eq!(multiply("pump=2@..9").unwrap(), of("multiply", Some(2.0), None, Some(9)));
        assert_eq!(ramp("pump=0.9@10").unwrap(), of("ramp", Some(0.9), None, Some(10)));
        assert_eq!(ramp("pump=0.9@5..10").unwrap(), of("ramp", Some(0.9), Some(5), Some(10)));
        assert_eq!(hold("pump").unwrap(), of("hold", None, None, None));
        assert_eq!(hold("pump@2..4").unwrap(), of("hold", None, Some(2), Some(4)));
        for wrong in ["pump", "=1", "pump=", "pump=x", "pump=NaN", "pump=inf", "pump=1@3", "pump=1@a..b"] {
            assert!(set(wrong).is_err(), "{wrong} was taken");
        }
        assert!(ramp("pump=1").is_err() && ramp("pump=1@0").is_err() && hold("pump=1").is_err() && hold("").is_err());
    }

    #[test]
    fn limits_are_read() {
        let of = |upper, value| Limit { signal: "level".to_owned(), upper, value };
        assert_eq!(limit("level<9.5").unwrap(), of(true, 9.5));
        assert_eq!(limit("level >= 1").unwrap(), of(false, 1.0));
        for wrong in ["level", "level=3", "<3", "level<", "level<NaN"] {
            assert!(limit(wrong).is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn keys_are_escaped_and_refusals_told() {
        assert_eq!(escaped("tank-1"), "tank-1");
        assert_eq!(escaped("a/b ü"), "a%2Fb%20%C3%BC");
        let body = br#"{"title":"Not valid","detail":"no","errors":[{"pointer":"/horizon","detail":"too far"}]}"#;
        assert_eq!(refusal(422, body).unwrap(), "the server refused (422): Not valid: no\n  /horizon: too far");
        assert!(refusal(502, b"<html>").is_none() && refusal(502, b"{}").is_none());
    }
}
