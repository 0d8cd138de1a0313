//! Arithmetic over signals: `0.12 * pump + max(0, level - 9) ^ 2`, read once and computed at every
//! step of every sample path.
//!
//! Written as people write it: `^` binds tighter than a sign before it (`-2 ^ 2` is -4) and goes
//! from right to left, `*` and `/` bind tighter than `+` and `-`. Names of signals stand as they
//! are, dots and dashes included: the longest name that fits counts, so a difference of `a` and `b`
//! needs blanks where there is a signal `a-b`; `{name}` names a signal whatever stands around it.
//! Deliberately absent: variables, conditions, loops. Length and depth are bounded before anything
//! is built.

/// Characters of a formula at most.
const MAX_LENGTH: usize = 1_000;
/// Parentheses, signs and powers within each other at most.
const MAX_DEPTH: usize = 64;

/// A formula ready to be computed.
#[derive(Clone, Debug)]
pub(super) struct Formula {
    /// In postfix order: operands stand before what is done with them.
    program: Vec<Part>,
}

/// One step of a program that works on a stack.
#[derive(Clone, Copy, Debug)]
enum Part {
    Number(f64),
    /// Place of the signal among those that the formula was read for.
    Signal(usize),
    Negate,
    One(fn(f64) -> f64),
    Two(fn(f64, f64) -> f64),
}

impl Formula {
    /// One signal as it is.
    pub(super) fn signal(place: usize) -> Self {
        Self { program: vec![Part::Signal(place)] }
    }

    /// Reads a text over signals; what is wrong with it comes with the place.
    pub(super) fn read(text: &str, signals: &[String]) -> Result<Self, String> {
        let length = text.chars().count();
        if length > MAX_LENGTH {
            return Err(format!("the expression has {length} characters; at most {MAX_LENGTH} are read"));
        }
        let mut reader = Reader { text, at: 0, signals, program: Vec::new(), depth: 0 };
        reader.sum()?;
        if reader.blank() { Ok(Self { program: reader.program }) } else { Err(reader.unexpected()) }
    }

    /// Signals that it is computed from, by their places, each once, ascending.
    pub(super) fn signals(&self) -> Vec<usize> {
        let places =
            self.program.iter().filter_map(|part| if let Part::Signal(place) = part { Some(*place) } else { None });
        places.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Its value at a step: `rows` are the signals in the order it was read for. `stack` is room for
    /// the work, kept between calls.
    pub(super) fn at(&self, rows: &[&[f64]], step: usize, stack: &mut Vec<f64>) -> f64 {
        stack.clear();
        for part in &self.program {
            let value = match part {
                Part::Number(number) => *number,
                Part::Signal(place) => rows[*place][step],
                Part::Negate => -stack.pop().unwrap_or(f64::NAN),
                Part::One(function) => function(stack.pop().unwrap_or(f64::NAN)),
                Part::Two(function) => {
                    let right = stack.pop().unwrap_or(f64::NAN);
                    function(stack.pop().unwrap_or(f64::NAN), right)
                }
            };
            stack.push(value);
        }
        stack.pop().unwrap_or(f64::NAN)
    }
}

/// Reads by recursive descent: a sum of products of powers of atoms.
struct Reader<'a> {
    text: &'a str,
    /// Bytes read so far.
    at: usize,
    signals: &'a [String],
    program: Vec<Part>,
    depth: usize,
}

impl Reader<'_> {
    fn sum(&mut self) -> Result<(), String> {
        self.deeper()?;
        self.product()?;
        loop {
            let apply: fn(f64, f64) -> f64 = if self.takes('+') {
                |a, b| a + b
            } else if self.takes('-') {
                |a, b| a - b
            } else {
                self.depth -= 1;
                return Ok(());
            };
            self.product()?;
            self.program.push(Part::Two(apply));
        }
    }

    fn product(&mut self) -> Result<(), String> {
        self.signed()?;
        loop {
            let apply: fn(f64, f64) -> f64 = if self.takes('*') {
                |a, b| a * b
            } else if self.takes('/') {
                |a, b| a / b
            } else {
                return Ok(());
            };
            self.signed()?;
            self.program.push(Part::Two(apply));
        }
    }

    fn signed(&mut self) -> Result<(), String> {
        self.deeper()?;
        if self.takes('-') {
            self.signed()?;
            self.program.push(Part::Negate);
        } else if self.takes('+') {
            self.signed()?;
        } else {
            self.atom()?;
            if self.takes('^') {
                self.signed()?;
                self.program.push(Part::Two(f64::powf));
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn atom(&mut self) -> Result<(), String> {
        if self.takes('(') {
            self.sum()?;
            return self.needs(')');
        }
        if self.takes('{') {
            let name = self.rest().split('}').next().unwrap_or_default().to_owned();
            let place = self.place(name.trim()).ok_or_else(|| format!("there is no input or output {name}"))?;
            self.at += name.len();
            self.program.push(Part::Signal(place));
            return self.needs('}');
        }
        self.blank();
        if let Some((place, length)) = self.longest_signal() {
            self.at += length;
            self.program.push(Part::Signal(place));
            return Ok(());
        }
        let rest = self.rest();
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match rest.chars().next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.call(&word),
            _ => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let mut end = 0;
        for (place, c) in rest.char_indices() {
            let exponent = rest[..place].ends_with(['e', 'E']);
            let more = c.is_ascii_digit()
                || c == '.'
                || (matches!(c, 'e' | 'E') && place > 0)
                || (matches!(c, '+' | '-') && exponent);
            if !more {
                break;
            }
            end = place + c.len_utf8();
        }
        let text = &rest[..end];
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let number = number.ok_or_else(|| format!("{text} at character {} is not a number", self.character()))?;
        self.at += end;
        self.program.push(Part::Number(number));
        Ok(())
    }

    fn call(&mut self, word: &str) -> Result<(), String> {
        let one: Option<fn(f64) -> f64> = match word {
            "abs" => Some(f64::abs),
            "sqrt" => Some(f64::sqrt),
            "exp" => Some(f64::exp),
            "ln" => Some(f64::ln),
            _ => None,
        };
        let two: Option<fn(f64, f64) -> f64> = match word {
            "min" => Some(f64::min),
            "max" => Some(f64::max),
            _ => None,
        };
        if one.is_none() && two.is_none() {
            return Err(format!(
                "{word} at character {} is neither an input or output that was measured nor one of abs, sqrt, exp, ln, min, max",
                self.character()
            ));
        }
        self.at += word.len();
        self.needs('(')?;
        self.sum()?;
        if let Some(apply) = one {
            self.program.push(Part::One(apply));
        } else if let Some(apply) = two {
            let mut more = 0;
            while self.takes(',') {
                self.sum()?;
                self.program.push(Part::Two(apply));
                more += 1;
            }
            if more == 0 {
                return Err(format!("{word} needs two values or more"));
            }
        }
        self.needs(')')
    }

    /// The longest signal whose name stands here and ends here.
    fn longest_signal(&self) -> Option<(usize, usize)> {
        let rest = self.rest();
        let ends = |name: &str| rest[name.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let function = |name: &str| rest[name.len()..].trim_start().starts_with('(');
        let fits = |name: &String| rest.starts_with(name.as_str()) && ends(name) && !function(name);
        let named = self.signals.iter().enumerate().filter(|(_, name)| !name.is_empty() && fits(name));
        named.max_by_key(|(_, name)| name.len()).map(|(place, name)| (place, name.len()))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.signals.iter().position(|signal| signal == name)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Skips blanks; whether that was all.
    fn blank(&mut self) -> bool {
        self.at += self.rest().len() - self.rest().trim_start().len();
        self.rest().is_empty()
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.blank();
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    fn needs(&mut self, wanted: char) -> Result<(), String> {
        if self.takes(wanted) { Ok(()) } else { Err(format!("{}; {wanted} was due", self.unexpected())) }
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err(format!("the expression is nested deeper than {MAX_DEPTH} levels"))
        } else {
            Ok(())
        }
    }

    /// Counted from 1, for people.
    fn character(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn unexpected(&self) -> String {
        match self.rest().chars().next() {
            Some(c) => format!("{c} at character {} is unexpected", self.character()),
            None => "the expression ends too early".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn value(text: &str) -> f64 {
        let signals = names(&["a", "b", "a-b", "t.in", "2nd", "min"]);
        let rows: [&[f64]; 6] = [&[3.0], &[5.0], &[100.0], &[7.0], &[11.0], &[13.0]];
        Formula::read(text, &signals).unwrap_or_else(|error| panic!("{text}: {error}")).at(&rows, 0, &mut Vec::new())
    }

    #[test]
    fn arithmetic_is_read_as_people_write_it() {
        for (text, expected) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("8 - 3 - 2", 3.0),
            ("8 / 4 / 2", 1.0),
            ("-2 ^ 2", -4.0),
            ("2 ^ -1", 0.5),
            ("2 ^ 3 ^ 2", 512.0),
            ("- -3", 3.0),
            ("1.5e1 + .5", 15.5),
            ("2e-1*10", 2.0),
            ("max(1, 2, a)", 3.0),
            ("min(a, b) + min", 16.0),
            ("sqrt(abs(-16)) + ln(exp(2))", 6.0),
            ("a - b", -2.0),
            ("a-b", 100.0),
            ("{a}-{b}", -2.0),
            ("{a-b}", 100.0),
            ("t.in*2", 14.0),
            ("2nd + 2", 13.0),
            ("a*(b+1)", 18.0),
        ] {
            assert!((value(text) - expected).abs() < 1e-9, "{text} is {}", value(text));
        }
    }

    #[test]
    fn what_is_no_formula_is_refused_with_its_place() {
        let signals = names(&["a"]);
        for (text, said) in [
            ("", "ends too early"),
            ("a +", "ends too early"),
            ("a b", "b at character 3"),
            ("a $ 2", "$ at character 3"),
            ("(a", ") was due"),
            ("a)", ") at character 2"),
            ("sin(a)", "sin at character 1"),
            ("2 * pump", "pump at character 5"),
            ("max(a)", "two values or more"),
            ("{c}", "no input or output c"),
            ("{a", "} was due"),
            ("1.2.3", "1.2.3 at character 1"),
            ("1e999", "not a number"),
            ("a a", "a at character 3"),
            ("2a", "a at character 2"),
        ] {
            let error = Formula::read(text, &signals).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(Formula::read(&"(".repeat(900), &signals).unwrap_err().contains("deeper"));
        assert!(Formula::read(&"-".repeat(900), &signals).unwrap_err().contains("deeper"));
        assert!(Formula::read(&"1+".repeat(600), &signals).unwrap_err().contains("at most 1000"));
    }

    #[test]
    fn it_knows_what_it_needs() {
        let signals = names(&["a", "b", "c"]);
        assert_eq!(Formula::read("c + a * c", &signals).unwrap().signals(), [0, 2]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            drop(Formula::read(&text, &names(&["a", "a-b", "é"])));
        }

        #[test]
        fn a_sum_of_signals_is_their_sum(a in -1e6..1e6_f64, b in -1e6..1e6_f64) {
            let formula = Formula::read("a + 2 * b", &names(&["a", "b"])).unwrap();
            prop_assert_eq!(formula.at(&[&[a], &[b]], 0, &mut Vec::new()), a + 2.0 * b);
        }
    }
}
