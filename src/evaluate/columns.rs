//! Files of numbers as the sets come in: comma-separated with a header, or columns of white space.

use std::path::Path;

use super::EvaluateError;

/// Numeric columns of one length, by name.
#[derive(Debug)]
pub(super) struct Columns {
    names: Vec<String>,
    values: Vec<Vec<f64>>,
}

impl Columns {
    /// Reads a file with a header. Cells that are empty or no number are NaN; rows without any
    /// number are left out.
    pub(super) fn comma_separated(path: &Path) -> Result<Self, EvaluateError> {
        Self::separated(path, b',')
    }

    /// The same with another sign between the cells.
    pub(super) fn separated(path: &Path, delimiter: u8) -> Result<Self, EvaluateError> {
        let text = read(path)?;
        let mut form = csv::ReaderBuilder::new();
        let mut reader = form.delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
        let wrong = |detail: String| EvaluateError::Format { path: path.to_owned(), detail };
        let names: Vec<String> =
            reader.headers().map_err(|error| wrong(error.to_string()))?.iter().map(str::to_owned).collect();
        let mut values = vec![Vec::new(); names.len()];
        for record in reader.records() {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let cells: Vec<f64> = (0..names.len()).map(|place| number(record.get(place).unwrap_or_default())).collect();
            if cells.iter().any(|cell| cell.is_finite()) {
                values.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
            }
        }
        Ok(Self { names, values })
    }

    /// Reads columns that are parted by white space and have no header.
    pub(super) fn white_space(path: &Path, names: &[&str]) -> Result<Self, EvaluateError> {
        let text = read(path)?;
        let mut values = vec![Vec::new(); names.len()];
        for (row, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let cells: Vec<f64> = line.split_whitespace().map(number).collect();
            if cells.len() != names.len() {
                let detail = format!("line {} has {} columns; {} are expected", row + 1, cells.len(), names.len());
                return Err(EvaluateError::Format { path: path.to_owned(), detail });
            }
            values.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
        }
        Ok(Self { names: names.iter().map(|name| (*name).to_owned()).collect(), values })
    }

    /// A column that must be there.
    pub(super) fn column(&self, path: &Path, name: &str) -> Result<&[f64], EvaluateError> {
        let place = self.names.iter().position(|known| known == name).ok_or_else(|| EvaluateError::Format {
            path: path.to_owned(),
            detail: format!("there is no column {name}; there are {}", self.names.join(", ")),
        })?;
        Ok(&self.values[place])
    }
}

/// A cell as a number; NaN where it is none.
pub(super) fn number(cell: &str) -> f64 {
    cell.trim().parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or(f64::NAN)
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, EvaluateError> {
    std::fs::read_to_string(path).map_err(|source| EvaluateError::Read { path: path.to_owned(), source })
}
